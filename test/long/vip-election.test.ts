/**
 * Faults drawn at random strike nodes that elect the holder of each address, on real packets; SPLIT_BRAIN_RUNS and
 * SPLIT_BRAIN_SEED say how many and which. docs/long-runs.md has what came of it.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SplitBrainRuns, type Run } from '../cluster/kit/split-brain.ts';
import { vipCluster, type VipCluster } from '../cluster/kit/vip-cluster.ts';
import { faultKinds } from '../cluster/kit/vip-faults.ts';

const isRoot = process.getuid?.() === 0;
const nodes = ['n1', 'n2', 'n3'];
const addresses = ['10.98.0.50', '10.98.0.51', 'fd98::50'];
const times = { leaseDurationMs: 1500, renewDeadlineMs: 700, retryPeriodMs: 500 };

describe.skipIf(!isRoot)('faults drawn at random, where each address is elected by itself', () => {
  let vips: VipCluster;
  beforeAll(async () => {
    vips = await vipCluster({ nodes, addresses, times, election: 'per-service', uptimeDays: [0, 1, 300] });
    for (const name of nodes) vips.start(name);
  });
  afterAll(async () => {
    await (vips as VipCluster | undefined)?.[Symbol.asyncDispose]();
  });

  test('[V10] never do two answer under one generation', async () => {
    const count = Number(process.env['SPLIT_BRAIN_RUNS'] ?? '25');
    const from = Number(process.env['SPLIT_BRAIN_SEED'] ?? Math.floor(Math.random() * 1e6));
    const runs = new SplitBrainRuns(vips);
    const done: Run[] = [];
    for (let at = 0; at < count; at += 1) {
      const run = await runs.run(from + at, { kind: faultKinds[at % faultKinds.length] ?? 'pause' });
      done.push(run);
      console.info(
        `${run.text}: ${String(run.handovers)} hand-overs, silent for ${run.silentMs.toFixed(0)} ms at most`,
      );
      for (const complaint of run.complaints) console.info(complaint);
    }
    expect(done.flatMap(({ text, complaints }) => complaints.map((one) => `${text}: ${one}`))).toEqual([]);
    expect(done.reduce((sum, { handovers }) => sum + handovers, 0)).toBeGreaterThan(count / 2);
  });
});
