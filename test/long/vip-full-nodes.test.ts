/**
 * Services of type LoadBalancer on three whole nodes, asked by a machine that is none of them:
 *
 *   s1 (server), a1, a2 (agents) ─┬─ a bridge
 *   client ───────────────────────┘
 *
 * `local` has one pod, which sees who asks and moves from a1 to a2; `web` has its pod on s1, and its
 * address on the other agent, which dies in the end.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { busyboxImage } from '../../src/cluster/first-pod.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { statusAnswer } from '../../src/vip/control-model.ts';
import { putBusyboxImage } from '../cluster/kit/busybox-image.ts';
import { serviceClient, type ServiceClient } from '../cluster/kit/service-client.ts';
import { clusterRig, type ClusterRig } from '../cluster/rig/cluster-rig.ts';
import type { MachineUp } from '../cluster/rig/machine.ts';

const isRoot = process.getuid?.() === 0;
const patience = { timeout: 60_000, interval: 100 };
const nodes = ['s1', 'a1', 'a2'];
const leaseMs = 3000;
const renewMs = 1500;
/** Less than a renewal may be tried, and longer than one request may take. */
const hangsMs = 1100;
const vipFlags = [
  ...['--vip-pool', 'lan=10.99.0.200-10.99.0.209', '--vip-default-class'],
  ...['--vip-lease-duration', '3s', '--vip-renew-deadline', '1500ms', '--vip-retry-period', '1s'],
];
const port = 8080;

/** Says on which node it is, and who asks. */
function pod(name: string, app: string, node: string): object {
  const script = [
    'mkdir -p /tmp/www/cgi-bin',
    `printf '#!/bin/sh\nprintf "Content-type: text/plain\\r\\n\\r\\n${node} is asked by $REMOTE_ADDR"\n' > /tmp/www/cgi-bin/who`,
    'chmod +x /tmp/www/cgi-bin/who',
    `exec httpd -f -p 0.0.0.0:${String(port)} -h /tmp/www`,
  ].join('; ');
  const container = {
    name: 'web',
    image: busyboxImage,
    imagePullPolicy: 'Never',
    command: ['/bin/sh', '-c', script],
    readinessProbe: { tcpSocket: { port }, periodSeconds: 1 },
  };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app } },
    spec: { nodeName: node, terminationGracePeriodSeconds: 0, containers: [container] },
  };
}

const service = (name: string, annotations: Readonly<Record<string, string>>, spec: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, annotations },
  spec: { type: 'LoadBalancer', selector: { app: name }, ports: [{ port: 80, targetPort: port }], ...spec },
});

describe.skipIf(!isRoot)('three whole nodes with virtual IPs', () => {
  let rig: ClusterRig;
  let asking: ServiceClient | undefined;
  const running = new Map<string, MachineUp>();

  const machine = (name: string) => rig.machine(name);
  const kubectl = (...args: string[]) => machine('s1').k3sLite('kubectl', ...args);
  const create = (...items: object[]) => {
    const file = path.join(machine('s1').dataDir, 'objects.json');
    writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    expect(kubectl('apply', '-f', file)).toMatchObject({ code: 0 });
  };
  const addressOf = (name: string) =>
    kubectl('get', 'service', name, '-o', 'jsonpath={.status.loadBalancer.ingress[0].ip}').output;
  /** Nodes that have it, as their kernels say. */
  const holders = (vip: string) =>
    nodes.filter((name) =>
      machine(name).run('ip', '-brief', 'address', 'show', 'dev', 'eth0').output.includes(`${vip}/`),
    );
  const events = (name: string) =>
    kubectl('get', 'events', '--field-selector', `involvedObject.name=${name}`, '-o', 'jsonpath={.items[*].message}');
  const vipStatus = () => statusAnswer.parse(JSON.parse(machine('s1').k3sLite('vip', 'status', '--json').output));
  /** "default/web a1", as the nodes have agreed. */
  const held = () =>
    vipStatus()
      .addresses.map(({ services, owner }) => `${String(services)} ${String(owner)}`)
      .sort();
  const ask = (vip: string): ServiceClient => {
    asking = serviceClient(machine('client').enter, `http://${vip}/cgi-bin/who`);
    return asking;
  };
  const enough = async () => {
    await asking?.[Symbol.asyncDispose]();
    asking = undefined;
  };

  const tokenFile = () => path.join(machine('s1').dataDir, 'given-token');
  const startAgent = (name: string): MachineUp => {
    const server = ['--server', `https://${machine('s1').ip}:9345`, '--token-file', tokenFile()];
    const up = machine(name).up('agent', [...server, ...vipFlags]);
    running.set(name, up);
    return up;
  };

  beforeAll(async () => {
    rig = await clusterRig([...nodes, 'client']);
    const token = tokenFile();
    writeFileSync(token, 'a-token-of-my-choice\n', { mode: 0o600 });
    for (const name of nodes) putBusyboxImage(machine(name).dataDir, busyboxImage);
    running.set('s1', machine('s1').up('up', ['--cluster-init', '--token-file', token, ...vipFlags]));
    for (const name of ['a1', 'a2']) startAgent(name);
    await Promise.all([...running.values()].map(({ events: told }) => told.ready()));
  });
  afterAll(async () => {
    try {
      await enough();
      await Promise.allSettled(['a1', 'a2'].map(async (name) => running.get(name)?.interrupt()));
      await running.get('s1')?.interrupt();
    } finally {
      await rig[Symbol.asyncDispose]();
    }
  });

  test('[V1] [V4] a Service is reached by its address, on the node that it would rather have', async () => {
    create(
      pod('web', 'web', 's1'),
      service('web', {
        'k3s-lite.io/vip-node-selector': 'kubernetes.io/hostname in (a1,a2)',
        'k3s-lite.io/vip-preferred-nodes': 'a1=100',
      }),
    );
    await expect.poll(() => addressOf('web'), patience).toMatch(/^10\.99\.0\.20\d$/);
    const vip = addressOf('web');
    await expect.poll(() => holders(vip), patience).toEqual(['a1']);
    const client = ask(vip);
    await expect.poll(() => client.last(), patience).toMatch(/^s1 is asked by/);
    await enough();
  });

  test('[V4] with externalTrafficPolicy Local it goes with its only pod, which sees who asks', async () => {
    create(pod('first', 'local', 'a1'), service('local', {}, { externalTrafficPolicy: 'Local' }));
    await expect.poll(() => addressOf('local'), patience).toMatch(/^10\.99\.0\.20\d$/);
    const vip = addressOf('local');
    const { ip } = machine('client');
    const client = ask(vip);
    await expect.poll(() => client.last(), patience).toBe(`a1 is asked by ${ip}`);
    expect(holders(vip)).toEqual(['a1']);

    create(pod('second', 'local', 'a2'));
    await expect
      .poll(
        () => kubectl('get', 'pod', 'second', '-o', 'jsonpath={.status.containerStatuses[0].ready}').output,
        patience,
      )
      .toBe('true');
    const movedMs = systemClock.monotonicMs();
    expect(kubectl('delete', 'pod', 'first')).toMatchObject({ code: 0 });
    await expect.poll(() => client.last(), patience).toBe(`a2 is asked by ${ip}`);
    await expect.poll(() => holders(vip), patience).toEqual(['a2']);
    console.info(`its only pod moved: not answered for ${client.longestGapMs(movedMs).toFixed(0)} ms`);
    await enough();
    // Every single one, while it moved too.
    expect(new Set(client.answers.map(({ text }) => text))).toEqual(
      new Set([`a1 is asked by ${ip}`, `a2 is asked by ${ip}`]),
    );
    await expect.poll(() => events('local').output, patience).toContain(`${vip} moved from a1 to a2`);
  });

  test('[V4] without any pod nobody has it', async () => {
    const vip = addressOf('local');
    expect(kubectl('delete', 'pod', 'second')).toMatchObject({ code: 0 });
    await expect.poll(() => holders(vip), patience).toEqual([]);
    await expect.poll(() => events('local').output, patience).toContain(`${vip} is held by no node`);
    create(pod('third', 'local', 'a2'));
    await expect.poll(() => holders(vip), patience).toEqual(['a2']);
  });

  test('[V5] [V12] each node’s metrics say who holds how many, what moved and why, and how its Lease is', async () => {
    // Where `local` is, `web` gives way.
    await expect.poll(held, patience).toEqual(['default/local a2', 'default/web a1']);
    const [ofS1 = '', ofA1 = '', ofA2 = ''] = nodes.map((name) => machine(name).k3sLite('vip', 'metrics').output);
    for (const line of [
      'held{node="a1"} 1',
      'held{node="a2"} 1',
      'held{node="s1"} 0',
      'imbalance_ratio 1.5',
      'unassigned 0',
      'lease_good 1',
      'lease_duration_seconds 3',
    ]) {
      expect(ofS1).toContain(`k3s_lite_vip_${line}\n`);
    }
    expect(ofA1).toMatch(/^k3s_lite_vip_lease_margin_seconds [0-2](?:\.\d+)?$/m);
    expect(ofA1).toMatch(/^k3s_lite_vip_silences_total\{reason="revoked"\} [1-9]/m);
    expect(ofA2).toMatch(/^k3s_lite_vip_takes_total [1-9]/m);
    // Of whichever node decided.
    const all = ofS1 + ofA1 + ofA2;
    for (const reason of ['new', 'ineligible']) {
      expect(all).toMatch(new RegExp(`^k3s_lite_vip_moves_total\\{reason="${reason}"\\} [1-9]`, 'm'));
    }
  });

  test('[V11] the times of the Leases are as they are given, and refused when they cannot be kept', () => {
    const lease = ['get', 'lease', '-n', 'kube-system', 'vip-node-a1'];
    expect(kubectl(...lease, '-o', 'jsonpath={.spec.leaseDurationSeconds}').output).toBe(String(leaseMs / 1000));
    const refused = machine('client').k3sLite('up', ...vipFlags, '--vip-renew-deadline', '3s');
    expect(refused.code).toBe(3);
    expect(refused.output).toMatch(/--vip-lease-duration .* is not longer than --vip-renew-deadline/);
  });

  test('[V8] [V12] etcd hangs for a moment: what failed is counted, the margin shows it, and nothing moves', async () => {
    const etcd = running.get('s1')?.events.states('etcd').at(-1)?.snapshot.pid;
    if (etcd === undefined) throw new Error('etcd does not run');
    const samples = (pattern: string) => {
      const texts = nodes.map((node) => machine(node).k3sLite('vip', 'metrics').output).join('');
      const lines = texts.matchAll(new RegExp(`^k3s_lite_vip_${pattern} (\\S+)$`, 'gm'));
      return [...lines].map(([, value]) => Number(value));
    };
    const failures = () => samples('api_errors_total{lease="vip-node-.*}').reduce((sum, value) => sum + value, 0);
    const [before, ownersBefore] = [failures(), held()];
    const afterwards = async () => {
      process.kill(etcd, 'SIGSTOP');
      await new Promise((resolve) => setTimeout(resolve, hangsMs));
      process.kill(etcd, 'SIGCONT');
      return failures();
    };
    await expect.poll(afterwards, patience).toBeGreaterThan(before);
    expect(Math.min(...samples('lease_margin_seconds'))).toBeLessThan(renewMs / 1000);
    expect(held()).toEqual(ownersBefore);
  });

  test('[V6] a node is drained on command, and gets its share back afterwards', async () => {
    const client = ask(addressOf('web'));
    await expect.poll(() => client.last(), patience).toMatch(/^s1 is asked by/);
    const drainedMs = systemClock.monotonicMs();
    const tell = (verb: string) => machine(vipStatus().coordinator ?? '').k3sLite('vip', verb, 'a1');
    expect(tell('drain')).toMatchObject({ code: 0 });
    await expect.poll(held, patience).toEqual(['default/local a2', 'default/web a2']);
    expect(tell('undrain')).toMatchObject({ code: 0 });
    await expect.poll(held, patience).toEqual(['default/local a2', 'default/web a1']);
    await enough();
    console.info(`drained, and back: not answered for ${client.longestGapMs(drainedMs).toFixed(0)} ms at most`);
    expect(client.longestGapMs(drainedMs)).toBeLessThan(leaseMs);
  });

  test('[V1] [V10] its node dies, and another one answers when the Lease is over', async () => {
    const vip = addressOf('web');
    const client = ask(vip);
    await expect.poll(() => client.last(), patience).toMatch(/^s1 is asked by/);
    const diedMs = systemClock.monotonicMs();
    rig.cable('a1', 'down');
    machine('a1').powerOff();
    running.delete('a1');
    await expect.poll(() => client.answers.at(-1)?.atMs, patience).toBeGreaterThan(diedMs + 1000);
    await enough();
    const gapMs = client.longestGapMs(diedMs);
    console.info(`its node died: not answered for ${gapMs.toFixed(0)} ms, with a Lease of ${String(leaseMs)} ms`);
    expect(gapMs).toBeLessThan(5 * leaseMs);
    expect(holders(vip)).toContain('a2');
    await expect.poll(() => events('web').output, patience).toContain(`${vip} moved from a1 to a2`);
    expect(machine('s1').k3sLite('vip', 'metrics').output + machine('a2').k3sLite('vip', 'metrics').output).toMatch(
      /^k3s_lite_vip_moves_total\{reason="dead"\} 1$/m,
    );
  });

  test('[V10] it is switched on again: what it had when it died is gone, and it gets its share', async () => {
    const vip = addressOf('web');
    // Worse than a power cut: its kernel has lived on, with the address.
    expect(
      machine('a1').run('cat', path.join(machine('a1').dataDir, 'agent/vip/addresses/addresses.json')).output,
    ).toContain(vip);
    const client = ask(vip);
    await expect.poll(() => client.last(), patience).toMatch(/^s1 is asked by/);
    const onMs = systemClock.monotonicMs();
    rig.cable('a1', 'up');
    await startAgent('a1').events.ready();
    await expect.poll(held, patience).toEqual(['default/local a2', 'default/web a1']);
    await expect.poll(() => [holders(vip), holders(addressOf('local'))], patience).toEqual([['a1'], ['a2']]);
    await enough();
    const gapMs = client.longestGapMs(onMs);
    console.info(`its node came back: not answered for ${gapMs.toFixed(0)} ms at most`);
    expect(gapMs).toBeLessThan(leaseMs);
  });
});
