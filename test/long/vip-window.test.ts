/**
 * What happens seldom on a node with virtual IPs, on real packets: a maintenance window opens, by clocks that are
 * set; and the thread of a node's Lease hangs for ever.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/kernel/clock.ts';
import { SplitBrainRuns } from '../cluster/kit/split-brain.ts';
import { vipCluster, type VipCluster } from '../cluster/kit/vip-cluster.ts';

const isRoot = process.getuid?.() === 0;
const nodes = ['n1', 'n2', 'n3'];
const [vip, ...otherVips] = ['10.98.0.50', '10.98.0.51', 'fd98::50'];
const times = { leaseDurationMs: 2000, renewDeadlineMs: 1000, retryPeriodMs: 600 };
const hourMs = 3_600_000;
const now = () => systemClock.monotonicMs();

describe.skipIf(!isRoot)('three nodes with virtual IPs', () => {
  let vips: VipCluster;
  let runs: SplitBrainRuns;
  beforeAll(async () => {
    vips = await vipCluster({ nodes, addresses: [vip, ...otherVips], times, uptimeDays: [0, 1, 300] });
    runs = new SplitBrainRuns(vips);
    for (const name of nodes) vips.start(name);
  });
  afterAll(async () => {
    await (vips as VipCluster | undefined)?.[Symbol.asyncDispose]();
  });

  test('[V6] a window that is closed holds voluntary moves, and lets them go when it opens', async () => {
    for (const clock of vips.clocks.values()) clock.setAheadS(0);
    await vips.settled();
    const opensAt = new Date(Date.now() + 12 * hourMs);
    const window = `${String(opensAt.getUTCMinutes())} ${String(opensAt.getUTCHours())} * * * 1h`;
    let last = '';
    for (const name of vips.nodes) {
      const running = vips.processOf(name);
      running.signal('SIGTERM');
      await running.ended;
      vips.start(name, { window });
      last = name;
      await expect.poll(() => vips.isAlive(name), { timeout: 30_000 }).toBe(true);
    }
    // All have one now. The last one left what it had to the others, and wants its share back.
    const waiting = async () => (await vips.plan().catch(() => undefined))?.waiting;
    await expect
      .poll(waiting, { timeout: 30_000, interval: 100 })
      .toEqual([expect.objectContaining({ to: last, until: 'window' })]);
    expect(await vips.speakers()).not.toContain(last);

    for (const clock of vips.clocks.values()) clock.setAheadS((12 * hourMs + 60_000) / 1000);
    // A clock that is set is noticed within a minute; what an operator says makes it look at once.
    await vips.command('uncordon', last);
    await vips.settled();
    expect(await vips.speakers()).toContain(last);
    expect((await runs.verdict()).complaints).toEqual([]);
    for (const name of vips.nodes) {
      vips.processOf(name).signal('SIGTERM');
      await vips.processOf(name).ended;
      vips.start(name);
    }
  });

  test('[V9] [V10] a thread of the Lease that hangs: the kernel falls silent, and the process ends and says why', async () => {
    await vips.settled();
    const name = await vips.speakerOf(vip);
    const holder = vips.processOf(name ?? '');
    const hungMs = now();
    holder.hangLeaseThread();
    await holder.ended;
    const endedMs = now();
    await vips.settled(nodes.filter((each) => each !== name));
    const silentMs = (await vips.historyOf(vip)).findLast(({ node }) => node === name)?.untilMs ?? Infinity;
    console.info(
      `hung: silent after ${(silentMs - hungMs).toFixed(0)} ms, ended after ${(endedMs - hungMs).toFixed(0)} ms`,
    );
    expect(silentMs).toBeLessThan(hungMs + times.leaseDurationMs);
    expect(holder.lines.map(({ text }) => text).join('\n')).toContain('the thread of the node’s Lease hangs');
    vips.start(holder.name);
    await vips.settled();
    expect((await runs.verdict()).complaints).toEqual([]);
  });
});
