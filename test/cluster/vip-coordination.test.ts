/**
 * Virtual addresses against a real API server with a real etcd, which is paused, killed and left alone.
 *
 *   n1, n2, n3: a Lease each, one of them the coordinator ──► kube-apiserver ──► etcd (SIGSTOP, SIGKILL)
 *
 * What the nodes' kernels would answer for is a journal (kit/vip-nodes); packets are in vip-actuator.test.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/kernel/clock.ts';
import { layoutOf } from '../../src/cluster/layout.ts';
import { retryBackoff } from '../../src/vip/coordination/retry-budget.ts';
import { checkTiming, type Timing } from '../../src/vip/coordination/timing.ts';
import { createCluster, type Cluster, type Up } from './kit/cluster.ts';
import { noSpaceAlarm } from './kit/etcd-alarm.ts';
import { install, type Installation } from './kit/installation.ts';
import { programsOf } from './kit/traces.ts';
import { VipNodes } from './kit/vip-nodes.ts';

const addresses = Array.from({ length: 9 }, (_each, index) => `10.99.0.${String(index + 1)}`);

function timingOf(leaseDurationMs: number, renewDeadlineMs: number, retryPeriodMs: number): Timing {
  const checked = checkTiming({ leaseDurationMs, renewDeadlineMs, retryPeriodMs });
  if (!checked.ok) throw new Error(checked.error.map(({ reason }) => reason).join('; '));
  return checked.value;
}
const timing = timingOf(4000, 2300, 1000);

let installation: Installation;
let cluster: Cluster;
let up: Up;
let vips: VipNodes;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const now = () => systemClock.monotonicMs();

beforeAll(async () => {
  installation = await install();
  cluster = await createCluster({ installation });
  up = cluster.up(['--disable-agent', '--disable', 'kube-controller-manager', '--disable', 'kube-scheduler']);
  await up.events.ready();
  vips = new VipNodes({
    url: `https://127.0.0.1:${String(cluster.port('https-listen-port'))}`,
    tls: layoutOf({ dataDir: cluster.paths.dataDir, runDir: '' }).serverTls,
    addresses,
    timing,
  });
});
afterAll(async () => {
  await vips[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
  installation[Symbol.dispose]();
});

async function etcdPausedWhile(work: () => Promise<unknown>): Promise<void> {
  const pids = programsOf(cluster.paths, 'etcd');
  expect(pids).toHaveLength(1);
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  try {
    await work();
  } finally {
    for (const pid of pids) process.kill(pid, 'SIGCONT');
  }
}

const names = ['n1', 'n2', 'n3'];
const isOwn =
  (fromMs: number) =>
  ({ atMs, lease }: { readonly atMs: number; readonly lease: string }) =>
    atMs >= fromMs && lease.startsWith('vip-node-');
/** What the nodes' own Leases have told since then. */
const retriesSince = (fromMs: number) => vips.eventsOf('vip.retry').filter(isOwn(fromMs));
const stepsSince = (fromMs: number) => vips.eventsOf('vip.lease').filter(isOwn(fromMs));
/** All are withdrawn, each before its Lease could be over. */
async function withdrawnInTime(fromMs: number): Promise<void> {
  const withdrawn = () => vips.eventsOf('vip.withdrawn').filter(({ atMs }) => atMs >= fromMs);
  await expect.poll(() => withdrawn().length, { timeout: 30_000, interval: 10 }).toBe(names.length);
  for (const { untilMs } of vips.speech.spells.filter((spell) => spell.untilMs > fromMs)) {
    expect(untilMs).toBeLessThan(fromMs + timing.leaseDurationMs);
  }
}
async function wholeAgain(fromMs: number): Promise<void> {
  await expect.poll(() => vips.isWhole(), { timeout: 30_000, interval: 20 }).toBe(true);
  console.info(`whole ${(now() - fromMs).toFixed(0)} ms after etcd was back`);
  expect(vips.speech.overlaps()).toEqual([]);
}
/** How often each node's Lease has had another holder than before, nobody included. */
const transitions = () =>
  Promise.all(
    names.map(async (name) => {
      const lease = ['lease', '-n', 'kube-system', `vip-node-${name}`];
      return Number((await cluster.kubectl('get', ...lease, '-o', 'jsonpath={.spec.leaseTransitions}')).out);
    }),
  );

/** Each node has its share, and keeps it. */
async function evenOver(nodes: number): Promise<void> {
  const share = addresses.length / nodes;
  const isEven = () => {
    const shares = Object.values(vips.shares());
    return shares.length === nodes && shares.every((each) => Math.abs(each - share) < 1) && vips.isWhole();
  };
  await expect.poll(isEven, { timeout: 30_000 }).toBe(true);
}

test('[V1] [V2] three nodes share nine addresses evenly, decided by one that they have elected', async () => {
  const fromMs = now();
  await Promise.all(names.map((name) => vips.start(name)));
  await evenOver(3);
  console.info(`even after ${(now() - fromMs).toFixed(0)} ms`);
  const coordinators = vips.nodes.filter(({ view }) => view.election().isOurs);
  expect(coordinators).toHaveLength(1);
  expect(vips.nodes.every(({ view }) => view.own().isOurs)).toBe(true);
  const lease = await cluster.kubectl(
    'get',
    'lease',
    '-n',
    'kube-system',
    'vip-coordinator',
    '-o',
    'jsonpath={.spec.holderIdentity}',
  );
  expect(lease.out).toMatch(new RegExp(`^${coordinators[0]?.name ?? ''}-\\d+$`));
});

test('the API is asked as often as Leases are renewed, however many addresses there are', async () => {
  const [before, fromMs] = [vips.requests, now()];
  await pause(4000);
  const perSecond = ((vips.requests - before) / (now() - fromMs)) * 1000;
  console.info(`${perSecond.toFixed(1)} requests a second for 3 nodes`);
  // A renewal a second for each node, and one for the coordinator.
  expect(perSecond).toBeLessThan(8);
});

test('[V7] [V8] etcd pauses for less than the renew deadline: retried, and nothing moves or falls silent', async () => {
  const moves = vips.eventsOf('vip.move').length;
  const fromMs = now();
  await etcdPausedWhile(() => pause(1500));
  await pause(timing.leaseDurationMs);
  const retries = retriesSince(fromMs);
  console.info(
    `${String(retries.length)} failed attempts: ${[...new Set(retries.map((each) => `${each.class}: ${each.text}`))].join(' | ')}`,
  );
  expect(retries.length).toBeGreaterThan(0);
  for (const { class: errorClass, attempts, inMs, leftMs } of retries) {
    expect(['transient', 'ambiguous']).toContain(errorClass);
    const { firstMs, factor, maxMs } = retryBackoff;
    expect(inMs).toBeLessThanOrEqual(Math.min(firstMs * factor ** (attempts - 1), maxMs));
    expect(leftMs).toBeGreaterThan(inMs);
    expect(leftMs).toBeLessThan(timing.renewDeadlineMs);
  }
  expect(new Set(stepsSince(fromMs).map(({ to }) => to))).toEqual(new Set(['doubtful', 'held']));
  expect(vips.eventsOf('vip.move')).toHaveLength(moves);
  expect(vips.eventsOf('vip.silent').filter(({ atMs }) => atMs >= fromMs)).toEqual([]);
  expect(vips.isWhole()).toBe(true);
});

test('[V9] etcd pauses for longer: silent before the Leases run out, re-elected and whole once it is back', async () => {
  const fromMs = now();
  await etcdPausedWhile(async () => {
    await pause(2 * timing.leaseDurationMs);
    expect(stepsSince(fromMs).filter(({ to }) => to === 'lost')).toHaveLength(names.length);
    await withdrawnInTime(fromMs);
  });
  const backMs = now();
  await wholeAgain(backMs);
  await expect.poll(() => vips.nodes.filter(({ view }) => view.election().isOurs).length, { timeout: 30_000 }).toBe(1);
  const elected = vips.eventsOf('vip.coordinator').filter(({ atMs, is }) => atMs >= backMs && is === 'elected');
  expect(elected.length).toBeGreaterThan(0);
  await evenOver(3);
});

test('[V9] etcd is back just when all is withdrawn: what can be given back is, and nobody waits for its end', async () => {
  const [before, fromMs] = [await transitions(), now()];
  await etcdPausedWhile(() => withdrawnInTime(fromMs));
  await wholeAgain(now());
  // From its holder to nobody, and to its holder again: of one that ran out there would be no trace.
  const given = (await transitions()).filter((count, at) => count > (before[at] ?? Infinity));
  expect(given.length).toBeGreaterThan(0);
  await evenOver(3);
});

test('[V7] [V8] [V9] etcd takes no writes: that is no passing failure, and given up before the Leases run out', async () => {
  const fromMs = now();
  await noSpaceAlarm(cluster, 'raised');
  try {
    await withdrawnInTime(fromMs);
  } finally {
    await noSpaceAlarm(cluster, 'cleared');
  }
  const backMs = now();
  const failures = retriesSince(fromMs).filter(({ text }) => text.includes('database space exceeded'));
  expect(failures.length).toBeGreaterThan(names.length);
  expect(new Set(failures.map((each) => each.class))).toEqual(new Set(['permanent']));
  await wholeAgain(backMs);
  await evenOver(3);
});

test('[V9] etcd is killed and comes back: nobody answers twice, and all is whole again', async () => {
  const fromMs = now();
  for (const pid of programsOf(cluster.paths, 'etcd')) process.kill(pid, 'SIGKILL');
  await pause(1000);
  await expect.poll(() => vips.isWhole(), { timeout: 60_000, interval: 20 }).toBe(true);
  console.info(`whole ${(now() - fromMs).toFixed(0)} ms after the kill`);
  expect(vips.speech.overlaps()).toEqual([]);
  await evenOver(3);
});

test('[V9] [V3] a node that is stopped hands over at once; one that comes takes its share and no more', async () => {
  const [leaving] = vips.nodes;
  if (leaving === undefined) throw new Error('no node');
  const had = vips.shares()[leaving.name] ?? 0;
  const moved = () => vips.eventsOf('vip.move').filter(({ is }) => is === 'granted').length;
  const before = moved();
  const fromMs = now();
  await leaving.stop();
  await expect.poll(() => vips.isWhole(), { timeout: 30_000, interval: 10 }).toBe(true);
  const tookMs = now() - fromMs;
  console.info(`handed over in ${tookMs.toFixed(0)} ms`);
  expect(tookMs).toBeLessThan(timing.leaseDurationMs);
  expect(moved() - before).toBe(had);
  const joinedFrom = moved();
  await vips.start('n4');
  await evenOver(3);
  expect(moved() - joinedFrom).toBeLessThanOrEqual(Math.ceil(addresses.length / 3));
  expect(vips.speech.overlaps()).toEqual([]);
});

test('[V10] [V3] a dead node loses its addresses when its Lease is over, and nobody else loses any', async () => {
  // The coordinator itself: the others have to elect a new one, too.
  const dying = vips.nodes.find(({ view }) => view.election().isOurs);
  if (dying === undefined) throw new Error('no coordinator');
  const had = vips.shares()[dying.name] ?? 0;
  const granted = () => vips.eventsOf('vip.move').filter(({ is }) => is === 'granted');
  const before = granted().length;
  const fromMs = now();
  dying.kill();
  await pause(timing.leaseDurationMs - timing.retryPeriodMs - timing.marginMs - 500);
  await expect
    .poll(() => vips.isWhole() && !(dying.name in vips.shares()), { timeout: 30_000, interval: 10 })
    .toBe(true);
  console.info(
    `taken over ${(now() - fromMs).toFixed(0)} ms after the death, with ${String(timing.leaseDurationMs)} ms of Lease`,
  );
  expect(granted().length - before).toBe(had);
  expect(
    granted()
      .slice(before)
      .every(({ from, because }) => from === dying.name && because === 'expired'),
  ).toBe(true);
  expect(vips.speech.overlaps()).toEqual([]);
});
