/**
 * kill -9 of k3s-lite itself, in the middle of a real start and when everything runs: the next `up`
 * adopts what matches and starts what is missing. A whole node with pods, and an upgrade: full-node.test.ts;
 * every recorded event: test/long/adoption.test.ts.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCluster, type Cluster } from './kit/cluster.ts';
import type { Told } from './kit/event-log.ts';
import { install, type Installation } from './kit/installation.ts';
import { steadyClient } from './kit/steady-client.ts';
import { programsOf } from './kit/traces.ts';

const components = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'];

let installation: Installation;
beforeAll(async () => {
  installation = await install();
});
afterAll(() => installation[Symbol.dispose]());

const spawned =
  (unit: string) =>
  ({ event }: Told) =>
    (event.type === 'process.spawned' || event.type === 'process.adopted') && event['unit'] === unit;
const inState =
  (unit: string, state: string) =>
  ({ event }: Told) =>
    event.type === 'unit.state' && event['unit'] === unit && (event['snapshot'] as { state: string }).state === state;

/** Transitions of a start, in their order; killed at each of them, each time going on from the last kill. */
const transitions: readonly (readonly [string, (told: Told) => boolean])[] = [
  ['the first event', () => true],
  ['certificates are being made', inState('certificates', 'starting')],
  ['certificates are made', inState('certificates', 'done')],
  ['etcd is spawned', spawned('etcd')],
  ['etcd is ready', inState('etcd', 'ready')],
  ['kube-apiserver is spawned', spawned('kube-apiserver')],
  ['kube-apiserver is asked', ({ event }) => event.type === 'probe.attempt' && event['unit'] === 'kube-apiserver'],
  ['kube-apiserver is ready', inState('kube-apiserver', 'ready')],
  ['kube-scheduler is spawned', spawned('kube-scheduler')],
  ['kube-controller-manager is ready', inState('kube-controller-manager', 'ready')],
  ['everything is ready', ({ event }) => event.type === 'up.ready'],
];

const pidsOf = ({ paths }: Cluster) =>
  Object.fromEntries(components.map((name) => [name, programsOf(paths, name)] as const));

test('[C5] killed at each transition of its start, k3s-lite goes on where it was, with never two of anything', async () => {
  await using cluster = await createCluster({ installation });
  let before: Readonly<Record<string, readonly number[]>> = {};
  for (const [what, isReached] of transitions) {
    const up = cluster.up();
    await up.events.until(isReached, what);
    const adopted = new Map(
      up.events.of('process.adopted').map(({ event }) => [String(event['unit']), event['pid']] as const),
    );
    up.signal('SIGKILL');
    await up.ended;
    const now = pidsOf(cluster);
    for (const name of components) {
      expect(now[name]?.length, `${name}, killed when ${what}`).toBeLessThan(2);
      if (adopted.has(name)) expect(before[name], `${name} keeps its pid`).toEqual([adopted.get(name)]);
    }
    before = now;
  }
  const up = cluster.up();
  await up.events.ready();
  expect(pidsOf(cluster), 'everything was ready: all of it is adopted').toEqual(before);
  expect(up.events.of('leftover.found')).toEqual([]);
  expect(await cluster.kubectl('get', '--raw', '/readyz')).toMatchObject({ code: 0, out: 'ok' });
  expect(await up.interrupt('SIGTERM')).toMatchObject({ code: 0 });
  expect(await cluster.traces()).toEqual([]);
});

test('[C5] when everything is ready, killing k3s-lite restarts no component, and no client of the API server notices', async () => {
  await using cluster = await createCluster({ installation });
  const first = cluster.up();
  await first.events.ready();
  const before = pidsOf(cluster);
  using client = steadyClient({ dataDir: cluster.paths.dataDir, port: cluster.port('https-listen-port') });
  await expect.poll(client.answers, { timeout: 20_000 }).toBeGreaterThan(100);
  first.signal('SIGKILL');
  await first.ended;
  const second = cluster.up();
  await second.events.ready();
  const answered = client.answers();
  await expect.poll(client.answers, { timeout: 20_000 }).toBeGreaterThan(answered + 100);
  expect(await client.end()).toEqual([]);
  expect(pidsOf(cluster)).toEqual(before);
  expect(second.events.of('process.spawned')).toEqual([]);
  const { units } = await cluster.status();
  for (const { unit, pid, generation, restarts } of units.filter((each) => components.includes(each.unit))) {
    expect([pid, generation, restarts], unit).toEqual([before[unit]?.[0], 1, 0]);
  }

  // Not our children: their end is noticed all the same, and honestly told.
  const since = second.events.count;
  const [scheduler = 0] = before['kube-scheduler'] ?? [];
  const killedAt = Date.now();
  process.kill(scheduler, 'SIGKILL');
  await second.events.until(({ event }) => event.type === 'up.lost', 'its loss', since);
  expect(Date.now() - killedAt).toBeLessThan(10_000);
  await second.events.ready(since);
  expect(second.events.error('kube-scheduler')).toMatchObject({ code: 'ERR_EXITED', exit: { kind: 'unknown' } });
  expect(await second.interrupt('SIGTERM')).toMatchObject({ code: 0 });
  expect(await cluster.traces()).toEqual([]);
});
