/**
 * Never two at a time, on the wire: one fault of each kind strikes a holder, and an observer that asks
 * for every address all the time hears who answers. test/long/vip-split-brain has fifty of them, drawn
 * at random.
 *
 * The nodes' clocks disagree by days all the while; how, vip-rig/skewed-clocks says.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SplitBrainRuns } from './kit/split-brain.ts';
import { vipCluster, type VipCluster } from './kit/vip-cluster.ts';
import type { Fault } from './kit/vip-faults.ts';

const isRoot = process.getuid?.() === 0;
const times = { leaseDurationMs: 2000, renewDeadlineMs: 1000, retryPeriodMs: 600 };
const [vip, ...otherVips] = ['10.98.0.50', '10.98.0.51', 'fd98::50'];
/** They are set at random, by up to a day. */
const leastSkewMs = 60_000;
const faults: readonly Pick<Fault, 'kind' | 'way'>[] = [
  { kind: 'partition', way: 'from the API' },
  { kind: 'black hole', way: 'answers are lost' },
  { kind: 'hung release', way: 'requests are lost' },
  { kind: 'pause', way: 'once' },
  { kind: 'skewed clocks', way: 'and it is frozen' },
];

describe.skipIf(!isRoot)('an observer of every frame', () => {
  let vips: VipCluster;
  let runs: SplitBrainRuns;
  beforeAll(async () => {
    const nodes = ['n1', 'n2', 'n3'];
    vips = await vipCluster({ nodes, addresses: [vip, ...otherVips], times, uptimeDays: [0, 1, 300] });
    runs = new SplitBrainRuns(vips);
    for (const name of nodes) vips.start(name);
  });
  afterAll(async () => {
    await (vips as VipCluster | undefined)?.[Symbol.asyncDispose]();
  });

  test.each(faults)('[V10] hears one speaker for each generation: $kind ($way) of a holder', async (fault) => {
    const lastsMs = 1.5 * times.leaseDurationMs;
    const { text, complaints, handovers, silentMs } = await runs.run(1, { ...fault, victim: 'holder', lastsMs });
    console.info(`${text}: ${String(handovers)} hand-overs, ${silentMs.toFixed(0)} ms without an answer at most`);
    expect(complaints).toEqual([]);
    expect(handovers).toBeGreaterThan(0);
    if (fault.kind !== 'skewed clocks') return;
    const clocks = await Promise.all(vips.nodes.map((name) => vips.renewedAtMs(name)));
    expect(Math.max(...clocks) - Math.min(...clocks)).toBeGreaterThan(leastSkewMs);
  });

  test('[V10] hears it, and the holder too, when somebody answers whom nobody has granted it', async () => {
    await vips.settled();
    expect((await runs.verdict()).complaints).toEqual([]);
    const holder = await vips.speakerOf(vip);
    const [intruder = ''] = vips.nodes.filter((name) => name !== holder);
    const byHand = (what: 'add' | 'delete') =>
      vips.rig.place(intruder).must('ip', 'address', what, `${vip}/32`, 'dev', 'eth0');
    byHand('add');
    const heard = async () => (await vips.historyOf(vip)).slice(-5).map(({ node }) => node);
    await expect.poll(heard, { timeout: 10_000 }).toContain(intruder);
    byHand('delete');
    const { complaints } = await runs.verdict();
    expect(complaints[0]).toContain(`${vip}: ${intruder} answers without a grant`);
    const told = () => vips.processOf(holder ?? '').lines.map(({ text }) => text);
    await expect.poll(() => told().join('\n'), { timeout: 10_000 }).toContain(`answers for ${vip} too`);
  });
});
