/**
 * `--election per-service` on nodes with real packets: each address is elected by itself, and an observer that asks
 * for every address all the time hears who answers. Faults drawn at random are in test/long/vip-election.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/kernel/clock.ts';
import { SplitBrainRuns } from './kit/split-brain.ts';
import { vipCluster, type VipCluster } from './kit/vip-cluster.ts';

const isRoot = process.getuid?.() === 0;
const times = { leaseDurationMs: 2000, renewDeadlineMs: 1000, retryPeriodMs: 600 };
const addresses = ['10.98.0.50', '10.98.0.51', 'fd98::50'] as const;
const [vip] = addresses;
const patience = { timeout: 20_000, interval: 50 };
/** A machine that is shared may take five times as long. */
const leeway = 5;

describe.skipIf(!isRoot)('nodes that elect the holder of each address', () => {
  let vips: VipCluster;
  let runs: SplitBrainRuns;
  beforeAll(async () => {
    vips = await vipCluster({ nodes: ['n1', 'n2', 'n3'], addresses, times, election: 'per-service' });
    runs = new SplitBrainRuns(vips);
    for (const name of vips.nodes) vips.start(name);
  });
  afterAll(async () => {
    await (vips as VipCluster | undefined)?.[Symbol.asyncDispose]();
  });

  const winners = () => Promise.all(addresses.map((address) => vips.electedFor(address).catch(() => '')));
  /** Whoever answers for an address has won its Lease. */
  const agreed = async (among: readonly string[] = vips.nodes) => {
    await vips.settled(among);
    await expect
      .poll(async () => [await winners(), await vips.speakers()], patience)
      .toSatisfy(([won, heard]: [unknown, unknown]) => JSON.stringify(won) === JSON.stringify(heard));
  };
  /** The longest silence from one holder to the next, and that never two have answered. */
  const judged = async () => {
    const { complaints, handovers, silentMs } = await runs.verdict();
    expect(complaints).toEqual([]);
    return { handovers, silentMs };
  };

  test('[V1] who answers for an address is who has won its Lease', async () => {
    await agreed();
    const status = await vips.statusOn('n1');
    expect(status.election).toBe('per-service');
    expect(status.addresses.map(({ state }) => state)).toEqual(addresses.map(() => 'granted'));
    await judged();
  });

  test('[V6] a drained node gives its Leases up, and answers on until others are ready', async () => {
    const holder = (await vips.speakerOf(vip)) ?? '';
    const others = vips.nodes.filter((name) => name !== holder);
    await vips.command('drain', holder);
    await agreed(others);
    const { handovers, silentMs } = await judged();
    console.info(`drained: ${String(handovers)} hand-overs, silent for ${silentMs.toFixed(0)} ms at most`);
    expect(handovers).toBeGreaterThan(0);
    // It is no matter of a Lease that has to run out.
    expect(silentMs).toBeLessThan(times.leaseDurationMs / 2);
    await vips.command('undrain', holder);
  });

  test('[V10] a holder is killed: others are elected when its Leases are over, and nobody answers twice', async () => {
    const holder = (await vips.speakerOf(vip)) ?? '';
    vips.processOf(holder).signal('SIGKILL');
    await agreed(vips.nodes.filter((name) => name !== holder));
    const { silentMs } = await judged();
    console.info(`killed: silent for ${silentMs.toFixed(0)} ms at most`);
    expect(silentMs).toBeLessThan(leeway * times.leaseDurationMs);
    vips.start(holder);
    await expect.poll(() => vips.isAlive(holder), patience).toBe(true);
    await agreed();
    expect((await judged()).handovers).toBe(0);
  });

  test('[V10] a node that is told to leave it to a coordinator goes the way of the others, and says so', async () => {
    const holder = (await vips.speakerOf(vip)) ?? '';
    const toldMs = systemClock.monotonicMs();
    vips.processOf(holder).signal('SIGTERM');
    await vips.processOf(holder).ended;
    console.info(`told to end: over after ${(systemClock.monotonicMs() - toldMs).toFixed(0)} ms`);
    vips.start(holder, { election: 'coordinator' });
    await expect.poll(() => vips.isAlive(holder), patience).toBe(true);
    await agreed();
    for (const name of vips.nodes) {
      const told = async () => {
        const { election, toldOtherwise } = await vips.statusOn(name);
        return { election, toldOtherwise };
      };
      const otherwise = expect.arrayContaining([holder]) as unknown;
      await expect.poll(told, patience).toEqual({ election: 'per-service', toldOtherwise: otherwise });
    }
    const said = () => vips.processOf(holder).lines.map(({ text }) => text);
    await expect
      .poll(() => said().join('\n'), patience)
      .toContain('--vip-election coordinator does not count yet: this cluster finds owners by per-service');
    await judged();
  });
});
