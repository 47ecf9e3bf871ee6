/**
 * Nodes without a controller-manager, on a real API server: what a list says of its revision, and who wins when a
 * kubelet writes at the same time. The kubelets are this test's; time is a number.
 *
 *   keepNodeConditions ─► kube-apiserver ─► etcd          n1, n2: a Node, a Lease and a pod each
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as z from 'zod';
import { createEarly } from '../../src/cluster/create-early.ts';
import { kubeClient, readCredentials, type KubeClient } from '../../src/cluster/kube-client.ts';
import { layoutOf } from '../../src/cluster/layout.ts';
import { readNode } from '../../src/cluster/node-ready.ts';
import { keepNodeConditions } from '../../src/cluster/node-lifecycle/keep-node-conditions.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { deferred } from '../../src/kernel/deferred.ts';
import { fakeClock } from '../kit/fake-clock.ts';
import { createCluster, type Cluster } from './kit/cluster.ts';
import { install, type Installation } from './kit/installation.ts';

const { signal } = new AbortController();
const nodes = '/api/v1/nodes';
const pods = '/api/v1/namespaces/default/pods';
const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
const readNodeSchema = z.looseObject({ status: z.looseObject({}) });
const readLeaseSchema = z.looseObject({ spec: z.looseObject({}) });
const readPodSchema = z.object({
  status: z.object({ conditions: z.array(z.object({ type: z.string(), status: z.string(), reason: z.string() })) }),
});
const eventsSchema = z.object({
  items: z.array(z.object({ reason: z.string(), involvedObject: z.object({ name: z.string() }), message: z.string() })),
});

let installation: Installation;
let cluster: Cluster;
let client: KubeClient;
let renewals = 0;

/** As a kubelet does. */
const postStatus = async (name: string, status: string) => {
  const node = readNodeSchema.parse(await client.get(`${nodes}/${name}`, signal));
  // Whole seconds: the same again would be no change.
  const lastHeartbeatTime = new Date(Date.UTC(2026, 0, 1) + (renewals += 1) * 1000);
  const conditions = ['Ready', 'MemoryPressure'].map((type) => ({ type, status, lastHeartbeatTime }));
  await client.replace(`${nodes}/${name}/status`, { ...node, status: { ...node.status, conditions } }, signal);
};
const renewTime = () => `2026-01-01T00:00:00.${String((renewals += 1)).padStart(6, '0')}Z`;
const renew = async (name: string) => {
  const lease = readLeaseSchema.parse(await client.get(`${leases}/${name}`, signal));
  const spec = { ...lease.spec, renewTime: renewTime() };
  await client.replace(`${leases}/${name}`, { ...lease, spec }, signal);
};
/** As a kubelet does whose pod is Ready. */
const postPod = async (name: string) => {
  const pod = readNodeSchema.parse(await client.get(`${pods}/${name}`, signal));
  const conditions = ['ContainersReady', 'Ready'].map((type) => ({ type, status: 'True', reason: 'AsItWas' }));
  await client.replace(`${pods}/${name}/status`, { ...pod, status: { ...pod.status, conditions } }, signal);
};
const podConditions = async (name: string) =>
  readPodSchema.parse(await client.get(`${pods}/${name}`, signal)).status.conditions;
const isReady = async (name: string) => readNode(await client.get(`${nodes}/${name}`, signal)).ready;

beforeAll(async () => {
  installation = await install();
  cluster = await createCluster({ installation });
  await cluster.up(['--disable-agent', 'kube-apiserver', 'namespace-defaults']).events.ready();
  const { serverTls } = layoutOf({ dataDir: cluster.paths.dataDir, runDir: '' });
  const url = `https://127.0.0.1:${String(cluster.port('https-listen-port'))}`;
  client = kubeClient(await readCredentials(url, serverTls, 'client-admin'), systemClock);
  for (const name of ['n1', 'n2']) {
    await client.create(nodes, { apiVersion: 'v1', kind: 'Node', metadata: { name } }, signal);
    const lease = {
      metadata: { name },
      spec: { holderIdentity: name, leaseDurationSeconds: 40, renewTime: renewTime() },
    };
    const body = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', ...lease };
    // Its namespace is made a moment after the API answers.
    await createEarly(client, leases, body, { clock: systemClock, signal, say: () => undefined });
    await postStatus(name, 'True');
  }
  for (const [name, nodeName] of [
    ['p1', 'n1'],
    ['p2', 'n2'],
  ]) {
    const spec = { nodeName, automountServiceAccountToken: false, containers: [{ name: 'c', image: 'none' }] };
    const body = { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec };
    await client.create(pods, body, signal);
    await postPod(String(name));
  }
}, 120_000);
afterAll(async () => {
  (client as KubeClient | undefined)?.[Symbol.dispose]();
  await (cluster as Cluster | undefined)?.[Symbol.asyncDispose]();
  (installation as Installation | undefined)?.[Symbol.dispose]();
});

test('a node whose Lease stands still is Unknown after the grace, and no kubelet is written over', async () => {
  const clock = fakeClock();
  const end = new AbortController();
  const lines: string[] = [];
  let sleeping = deferred();
  /** While the API is asked for the status to be written. */
  let meanwhile = () => Promise.resolve();
  const ended = keepNodeConditions({
    connect: () =>
      Promise.resolve({
        ...client,
        async replace(...args) {
          await meanwhile();
          return client.replace(...args);
        },
        [Symbol.dispose]: () => undefined,
      }),
    ...{ graceMs: 50_000, clock, signal: end.signal, log: (line: string) => lines.push(line) },
    // Asked for before each pause.
    random() {
      sleeping.resolve();
      return 0.5;
    },
  }).catch((error: unknown) => error);
  /** n1 renews; a look follows. */
  const look = async () => {
    await renew('n1');
    sleeping = deferred();
    await clock.step();
    await sleeping.promise;
  };
  const lookUntil = async (ms: number) => {
    while (clock.monotonicMs() < ms) await look();
  };

  await look();
  const sinceMs = clock.monotonicMs();
  await lookUntil(sinceMs + 45_000);
  expect(await isReady('n2')).toBe(true);
  // Its kubelet is just back when it would be written: that counts for the grace.
  let times = 0;
  meanwhile = async () => {
    times += 1;
    meanwhile = () => Promise.resolve();
    await postStatus('n2', 'True');
  };
  await lookUntil(sinceMs + 60_000);
  expect(times).toBe(1);
  await lookUntil(sinceMs + 95_000);
  expect(await isReady('n2')).toBe(true);
  await lookUntil(sinceMs + 125_000);
  expect(await isReady('n2')).toBe(false);
  expect(await isReady('n1')).toBe(true);
  expect(await podConditions('p2')).toEqual([
    { type: 'ContainersReady', status: 'True', reason: 'AsItWas' },
    { type: 'Ready', status: 'False', reason: 'AsItWas' },
  ]);
  expect((await podConditions('p1')).map(({ status }) => status)).toEqual(['True', 'True']);
  const { items } = eventsSchema.parse(await client.get('/api/v1/namespaces/default/events', signal));
  const [event, ...others] = items.filter(({ reason }) => reason === 'NodeNotReady');
  expect(others).toEqual([]);
  expect(event).toMatchObject({
    involvedObject: { name: 'n2' },
    message: expect.stringContaining('no kube-controller-manager lives') as string,
  });
  expect(lines.map((line) => line.split(/[:,] /)[0])).toEqual([
    expect.stringMatching(/^no kube-controller-manager has renewed its Lease for /),
    'node n2 is not believed to be Ready any more',
    'pods of node n2 are not called Ready any more',
  ]);
  // As if a server had died before it came to the pods: they are written after the next grace.
  await postPod('p2');
  await lookUntil(clock.monotonicMs() + 60_000);
  expect((await podConditions('p2')).map(({ status }) => status)).toEqual(['True', 'False']);
  expect(lines).toHaveLength(4);
  await postStatus('n2', 'True');
  await renew('n2');
  await lookUntil(clock.monotonicMs() + 40_000);
  expect(await isReady('n2')).toBe(true);
  expect(lines).toHaveLength(4);
  end.abort(new Error('the test is over'));
  expect(await ended).toMatchObject({ message: 'the test is over' });
});
