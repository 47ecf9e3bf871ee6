/**
 * Services of type LoadBalancer on the real API: they get addresses from a pool, and their status says
 * who holds them. The nodes are Node objects alone; who holds what is what the planner says of them.
 *
 *   Services, EndpointSlices, Nodes ─► followServices ─► plan ─► publish ─► status, events
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { applyObjects } from '../../src/cluster/api-objects.ts';
import { loadSigner, makeEcdsaKey, makeLeaf } from '../../src/cluster/certificate-maker.ts';
import { vipUser } from '../../src/cluster/certificate-plan.ts';
import { kubeClient, readCredentials, type KubeClient } from '../../src/cluster/kube-client.ts';
import { layoutOf } from '../../src/cluster/layout.ts';
import { vipObjects } from '../../src/cluster/vip-objects.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { deferred } from '../../src/kernel/deferred.ts';
import type { PlanNode } from '../../src/vip/plan/plan-model.ts';
import { plan } from '../../src/vip/plan/plan.ts';
import { parsePools } from '../../src/vip/service/address-pool.ts';
import { followServices, type ServiceFollower, type ServicesView } from '../../src/vip/service/follow-services.ts';
import { createCluster, type Cluster } from './kit/cluster.ts';
import { install, type Installation } from './kit/installation.ts';

const patience = { timeout: 20_000, interval: 100 };
const nodeNames = ['node-a', 'node-b', 'node-c'];
const signal = new AbortController().signal;

let installation: Installation;
let cluster: Cluster;
let client: KubeClient;

beforeAll(async () => {
  installation = await install();
  cluster = await createCluster({ installation });
  await cluster.up().events.ready();
  const { serverTls } = layoutOf({ dataDir: cluster.paths.dataDir, runDir: '' });
  const url = `https://127.0.0.1:${String(cluster.port('https-listen-port'))}`;
  client = kubeClient(await readCredentials(url, serverTls, 'client-admin'), systemClock);
  for (const name of nodeNames) {
    await client.create('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name } }, signal);
  }
});
afterAll(async () => {
  client[Symbol.dispose]();
  await cluster[Symbol.asyncDispose]();
  installation[Symbol.dispose]();
});

/** The assignment outlives a coordinator. */
const owners = new Map<string, string>();

/** A coordinator without Leases: it plans at each look, the first of which is awaited, and what it plans is done at once. */
async function coordinator() {
  const dead = new Set<string>();
  let view: ServicesView | undefined;
  const seen = deferred();
  const ended = new AbortController();
  const log: string[] = [];
  const assign = (follower: ServiceFollower) => {
    const nodes = (view?.nodes ?? []).map(({ metadata: { name } }): PlanNode => {
      return { name, state: dead.has(name) ? 'dead' : 'ready', capacity: 1, penalty: 0 };
    });
    const next = plan({
      addresses: view?.addresses ?? [],
      nodes,
      owners,
      moving: new Set(),
      policy: { mayRebalance: true, startAbove: 1, stopBelow: 1, restMs: 0, movesAtOnce: 100, movesPerHour: 1000 },
      recentMovesAtMs: [],
      nowMs: systemClock.monotonicMs(),
    });
    owners.clear();
    for (const [address, owner] of next.owners) owners.set(address, owner);
    follower.publish(new Map(owners));
  };
  const follower = followServices({
    api: client,
    policy: { pools: parsePools(['lan=10.77.0.0/29']), takesUnclassed: false },
    subnets: () => undefined,
    onView: (next) => {
      view = next;
      assign(follower);
      seen.resolve();
    },
    log: (line) => log.push(line),
    clock: systemClock,
    random: Math.random,
    signal: ended.signal,
  });
  const running = follower.run().catch(() => undefined);
  await seen.promise;
  return {
    log,
    lose(name: string) {
      dead.add(name);
      assign(follower);
    },
    async [Symbol.asyncDispose]() {
      ended.abort(new Error('the test has ended'));
      await running;
    },
  };
}

interface Wanted {
  readonly annotations?: Readonly<Record<string, string>>;
  readonly spec?: object;
}

async function createService(name: string, { annotations, spec }: Wanted = {}): Promise<void> {
  const body = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, annotations },
    spec: {
      type: 'LoadBalancer',
      loadBalancerClass: 'k3s-lite.io/vip',
      allocateLoadBalancerNodePorts: false,
      ports: [{ port: 80 }],
      ...spec,
    },
  };
  await client.create('/api/v1/namespaces/default/services', body, signal);
}

const statusSchema = z.object({
  status: z.object({
    loadBalancer: z.object({ ingress: z.array(z.object({ ip: z.string(), ipMode: z.string() })).default([]) }),
    conditions: z
      .array(z.object({ type: z.string(), status: z.string(), reason: z.string(), message: z.string() }))
      .default([]),
  }),
});

/** "10.77.0.1 True Held: 10.77.0.1 on node-a". */
async function told(name: string): Promise<string> {
  const { status } = statusSchema.parse(await client.get(`/api/v1/namespaces/default/services/${name}`, signal));
  const condition = status.conditions.find(({ type }) => type === 'k3s-lite.io/VIP');
  const addresses = status.loadBalancer.ingress.map(({ ip, ipMode }) => (ipMode === 'VIP' ? ip : `${ip} ${ipMode}`));
  return [...addresses, condition && `${condition.status} ${condition.reason}: ${condition.message}`].join(' ');
}

const eventsSchema = z.object({
  items: z.array(z.object({ reason: z.string(), message: z.string(), involvedObject: z.object({ name: z.string() }) })),
});
async function eventsOf(name: string): Promise<readonly string[]> {
  const { items } = eventsSchema.parse(await client.get('/api/v1/namespaces/default/events', signal));
  return items
    .filter((each) => each.involvedObject.name === name)
    .map(({ reason, message }) => `${reason}: ${message}`);
}

const holderOf = async (name: string) => / on (node-\w)/.exec(await told(name))?.[1];

/** An endpoint of a Service without a selector, ready on one node. */
async function endpointOn(name: string, nodeName: string): Promise<void> {
  const slice = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${name}-1`, namespace: 'default', labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    ports: [{ port: 80 }],
    endpoints: [{ addresses: ['10.42.0.9'], nodeName, conditions: { ready: true } }],
  };
  await client.apply(`/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/${name}-1`, slice, signal);
}

test('Services get addresses of the pool, their status says who holds them, and each node has its share', async () => {
  await using _coordinator = await coordinator();
  for (const name of ['one', 'two', 'three']) await createService(name);
  for (const name of ['one', 'two', 'three']) {
    await expect.poll(() => told(name), patience).toMatch(/^(10\.77\.0\.\d) True Held: \1 on node-\w$/);
  }
  expect(new Set(await Promise.all(['one', 'two', 'three'].map(holderOf)))).toEqual(new Set(nodeNames));
  const [, address = '', holder = ''] = /^(\S+) .* on (\S+)$/.exec(await told('one')) ?? [];
  await expect.poll(() => eventsOf('one'), patience).toContain(`Assigned: ${address} is held by ${holder}`);
});

test('a node is lost: its addresses alone move, and that is told', async () => {
  await using one = await coordinator();
  await expect.poll(() => told('one'), patience).toContain('True Held');
  const before = new Map(
    await Promise.all(['one', 'two', 'three'].map(async (name) => [name, await holderOf(name)] as const)),
  );
  const lost = before.get('two') ?? '';
  one.lose(lost);
  await expect.poll(() => holderOf('two'), patience).not.toBe(lost);
  for (const name of ['one', 'three']) expect(await holderOf(name), name).toBe(before.get(name));
  await expect.poll(async () => (await eventsOf('two')).join('\n'), patience).toMatch(`Moved: 10.77.0`);
});

test('after a restart every Service has the address that it had, and nothing is told twice', async () => {
  const before = await Promise.all(['one', 'two', 'three'].map(async (name) => (await told(name)).split(' ')[0]));
  await using _coordinator = await coordinator();
  await createService('four');
  await expect.poll(() => told('four'), patience).toContain('True Held');
  expect(await Promise.all(['one', 'two', 'three'].map(async (name) => (await told(name)).split(' ')[0]))).toEqual(
    before,
  );
  const assigned = (await eventsOf('one')).filter((event) => event.startsWith('Assigned'));
  expect(assigned).toHaveLength(1);
});

test('[V4] with externalTrafficPolicy Local the address is on the node with the ready endpoint, and follows it', async () => {
  await using _coordinator = await coordinator();
  await createService('local', { spec: { externalTrafficPolicy: 'Local', allocateLoadBalancerNodePorts: true } });
  await expect.poll(() => told('local'), patience).toMatch(/False NoNode: 10\.77\.0\.\d on no node$/);
  for (const name of ['node-b', 'node-c', 'node-a']) {
    await endpointOn('local', name);
    const beganMs = performance.now();
    await expect.poll(() => holderOf('local'), patience).toBe(name);
    console.log(`the status follows the endpoint to ${name} in ${(performance.now() - beganMs).toFixed(0)} ms`);
  }
});

test('a pool that is used up is told by condition and event; what becomes free is given away', async () => {
  await using _coordinator = await coordinator();
  // 8 addresses; five are taken by now.
  for (const name of ['six', 'seven', 'eight']) await createService(name);
  for (const name of ['six', 'seven', 'eight']) await expect.poll(() => told(name), patience).toContain('True Held');
  await createService('nine');
  await expect
    .poll(() => told('nine'), patience)
    .toMatch(/^False PoolExhausted: no IPv4 address is free in lan \(10\.77\.0\.0\/29\)$/);
  await expect
    .poll(() => eventsOf('nine'), patience)
    .toContain('PoolExhausted: no IPv4 address is free in lan (10.77.0.0/29)');
  await client.delete('/api/v1/namespaces/default/services/six', signal);
  await expect.poll(() => told('nine'), patience).toContain('True Held');
});

test('two Services share an address by a key; an exact one that another has is a conflict', async () => {
  await using _coordinator = await coordinator();
  for (const name of ['seven', 'eight', 'nine'])
    await client.delete(`/api/v1/namespaces/default/services/${name}`, signal);
  const annotations = { 'k3s-lite.io/vip-sharing-key': 'edge' };
  await createService('web', { annotations });
  await createService('secure', { annotations, spec: { ports: [{ port: 443 }] } });
  await expect.poll(() => told('web'), patience).toContain('True Held');
  await expect.poll(() => told('secure'), patience).toContain('True Held');
  expect(await told('secure')).toBe(await told('web'));
  const [address = ''] = (await told('web')).split(' ');
  await createService('greedy', { annotations: { 'k3s-lite.io/vip-addresses': address } });
  await expect.poll(() => told('greedy'), patience).toContain(`False Conflict: ${address} belongs to default/`);
});

test('a Service that is no load balancer any more has nothing of ours in its status', async () => {
  await using one = await coordinator();
  await expect.poll(() => told('four'), patience).toContain('True Held');
  const { code, err } = await cluster.kubectl(
    'patch',
    'service',
    'four',
    '--type=merge',
    '-p',
    JSON.stringify({ spec: { type: 'ClusterIP', loadBalancerClass: null, allocateLoadBalancerNodePorts: null } }),
  );
  expect(code, err).toBe(0);
  await expect.poll(() => told('four'), patience).toBe('');
  expect(one.log).toEqual([]);
});

test('[V4] annotations say which nodes may have an address, which it would rather have, and which addresses keep apart', async () => {
  await using _coordinator = await coordinator();
  const remove = async (...names: readonly string[]) => {
    for (const name of names) await client.delete(`/api/v1/namespaces/default/services/${name}`, signal);
    // Else what comes next would have their addresses, with their nodes.
    await expect.poll(() => owners.size, patience).toBe(0);
  };
  await remove('one', 'two', 'three', 'local', 'web', 'secure', 'greedy');
  const label = (name: string, zone: string) => {
    const node = { apiVersion: 'v1', kind: 'Node', metadata: { name, labels: { zone } } };
    return client.apply(`/api/v1/nodes/${name}`, node, signal);
  };
  for (const [name, zone] of [
    ['node-a', 'west'],
    ['node-b', 'west'],
    ['node-c', 'east'],
  ] as const)
    await label(name, zone);
  await createService('east', { annotations: { 'k3s-lite.io/vip-node-selector': 'zone=east' } });
  await expect.poll(() => holderOf('east'), patience).toBe('node-c');
  // Its node is no longer one of those, and another one is.
  await label('node-c', 'west');
  await expect.poll(() => told('east'), patience).toMatch(/False NoNode/);
  await label('node-a', 'east');
  await expect.poll(() => holderOf('east'), patience).toBe('node-a');
  await remove('east');

  for (const wish of ['node-b', 'node-c', 'node-a']) {
    await createService('wishes', { annotations: { 'k3s-lite.io/vip-preferred-nodes': `${wish}=100` } });
    await expect.poll(() => holderOf('wishes'), patience).toBe(wish);
    await remove('wishes');
  }

  // Of the third node that has nothing yet, or of three that have one each, evenness alone would take any.
  for (const group of ['x', 'y']) {
    const members = ['1', '2', '3'].map((number) => `${group}${number}`);
    await createService(`${group}-alone`);
    await expect.poll(() => told(`${group}-alone`), patience).toContain('True Held');
    for (const name of members) {
      await createService(name, { annotations: { 'k3s-lite.io/vip-group': group } });
      await expect.poll(() => told(name), patience).toContain('True Held');
    }
    expect(new Set(await Promise.all(members.map(holderOf)))).toEqual(new Set(nodeNames));
    await remove(...members, `${group}-alone`);
  }
});

test('the process of virtual IPs may write its own Leases, and nobody else’s', async () => {
  const { serverTls } = layoutOf({ dataDir: cluster.paths.dataDir, runDir: '' });
  const url = `https://127.0.0.1:${String(cluster.port('https-listen-port'))}`;
  using admin = kubeClient(await readCredentials(url, serverTls, 'client-admin'), systemClock);
  await applyObjects(admin, vipObjects(), signal);
  const [ca, clientCa, clientKey] = await Promise.all(
    ['server-ca.crt', 'client-ca.crt', 'client-ca.key'].map((name) => readFile(`${serverTls}/${name}`, 'utf8')),
  );
  const key = await makeEcdsaKey();
  const content = { name: 'test', commonName: vipUser, usages: ['client'], dnsNames: [], ips: [] } as const;
  const cert = await makeLeaf(content, key, await loadSigner(clientCa ?? '', clientKey ?? ''), Date.now());
  using vip = kubeClient({ url, ca: ca ?? '', cert, key }, systemClock);
  const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases';
  const lease = (name: string, resourceVersion?: string) => ({
    ...{ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' },
    metadata: { name, namespace: 'kube-system', resourceVersion },
    spec: { holderIdentity: name },
  });
  const schema = z.object({ metadata: z.object({ resourceVersion: z.string() }) });
  const written = (object: unknown) => schema.parse(object);
  const refused = { status: 403 };
  // Permissions and the policy count a moment after they were made.
  let tries = 0;
  const create = () => vip.create(leases, lease(`k3s-lite-dns-${String((tries += 1))}`), signal);
  await expect.poll(() => create().catch(String), patience).toMatch(/may write Leases whose names begin with vip-/);
  const own = written(await vip.create(leases, lease('vip-node-a'), signal));
  await vip.replace(`${leases}/vip-node-a`, lease('vip-node-a', own.metadata.resourceVersion), signal);
  await vip.delete(`${leases}/vip-node-a`, signal);
  for (const name of ['k3s-lite-dns-s1', 'kube-controller-manager']) {
    // Nobody else is held to that.
    const { metadata } = written(await client.apply(`${leases}/${name}`, lease(name), signal));
    const change = vip.replace(`${leases}/${name}`, lease(name, metadata.resourceVersion), signal);
    await expect(change).rejects.toMatchObject(refused);
    await expect(vip.delete(`${leases}/${name}`, signal)).rejects.toMatchObject(refused);
  }
});
