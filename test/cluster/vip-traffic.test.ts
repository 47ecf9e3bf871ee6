/** Traffic as weight, on real packets: a client in one namespace, the addresses in another, and their kernel's counters. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/kernel/clock.ts';
import { runProgram } from '../../src/process/run-program.ts';
import { plan } from '../../src/vip/plan/plan.ts';
import { trafficPolicy, weighByTraffic } from '../../src/vip/plan/traffic-weight.ts';
import { trafficMeter, type TrafficMeter } from '../../src/vip/traffic/traffic-meter.ts';
import { levelsOf, measure, noRates } from '../../src/vip/traffic/traffic-rates.ts';
import { vipRig, type RigProcess, type VipRig } from './vip-rig/vip-rig.ts';

const isRoot = process.getuid?.() === 0;
const [busy4, quiet4, busy6] = ['10.98.0.60', '10.98.0.61', 'fd98::60'];
const vips = [busy4, quiet4, busy6];
const never = new AbortController().signal;

describe.skipIf(!isRoot)('[V2] the traffic of addresses', () => {
  let rig: VipRig;
  let node: RigProcess;
  let meter: TrafficMeter;
  beforeAll(async () => {
    rig = await vipRig(['n1']);
    node = await rig.startNode('n1', { probe: { count: 0, intervalMs: 0 } });
    await node.calls.cleanUp();
    await node.calls.take(vips, systemClock.monotonicMs() + 120_000);
    const [nsenter = '', ...namespace] = rig.place('n1').enter;
    meter = trafficMeter((request) => runProgram({ ...request, argv: [nsenter, ...namespace, ...request.argv] }));
  });
  afterAll(async () => {
    await (node as RigProcess | undefined)?.kill();
    await (rig as VipRig | undefined)?.[Symbol.asyncDispose]();
  });

  /** Packets of a client until so many are answered. */
  async function talkTo(address: string, packets: number): Promise<void> {
    const { calls } = rig.client;
    await calls.begin(address);
    await expect.poll(() => calls.answered(), { timeout: 20_000 }).toBeGreaterThan(packets);
    await calls.finish();
  }
  const bytesOf = async () => meter.read(vips, never);

  test('is counted in both directions, of both families, and goes on when another address comes', async () => {
    expect((await meter.read([busy4], never)).size).toBe(0);
    await talkTo(busy4, 100);
    const first = (await meter.read([busy4], never)).get(busy4) ?? 0;
    // An IPv4 and a UDP header, and a number: there; and back with the node's name.
    expect(first).toBeGreaterThan(100 * 2 * 29);
    expect((await bytesOf()).get(busy4)).toBe(first);
    await talkTo(busy6, 100);
    const all = await bytesOf();
    expect(all.get(busy6)).toBeGreaterThan(100 * 2 * 49);
    expect([all.get(busy4), all.get(quiet4)]).toEqual([first, 0]);
  });

  test('is counted again after somebody has flushed the rules', async () => {
    rig.place('n1').must('nft', 'delete', 'table', 'inet', 'k3s-lite-vip');
    expect((await bytesOf()).size).toBe(0);
    await talkTo(busy4, 10);
    expect((await bytesOf()).get(busy4)).toBeGreaterThan(0);
  });

  test('parts two busy addresses that are on one node, and leaves an idle one', async () => {
    const before = await bytesOf();
    for (const address of [busy4, busy6]) await talkTo(address, 200);
    // As if that were half a minute's.
    const samples = [before, before, before, await bytesOf()].map(
      (bytes, at) => [new Map([...bytes].map(([each, count]) => [each, count * 1000] as const)), at * 10_000] as const,
    );
    const rates = samples.reduce((known, [bytes, atMs]) => measure(known, bytes, atMs), noRates);
    const policy = { mayRebalance: true, startAbove: 1.2, stopBelow: 1, restMs: 0, movesAtOnce: 5, movesPerHour: 100 };
    const { moves } = plan({
      addresses: weighByTraffic(
        vips.map((address) => ({ address, weight: 1 })),
        levelsOf(rates),
      ),
      nodes: ['n1', 'n2'].map((name) => ({ name, state: 'ready', capacity: 1, penalty: 0, isFresh: false })),
      owners: new Map([
        [busy4, 'n1'],
        [busy6, 'n1'],
        [quiet4, 'n2'],
      ]),
      moving: new Set(),
      policy: trafficPolicy(policy),
      recentMovesAtMs: [],
      nowMs: 10_000_000,
    });
    expect(moves).toMatchObject([{ from: 'n1', to: 'n2', reason: 'rebalance' }]);
    expect(moves[0]?.address).not.toBe(quiet4);
  });

  test('is counted no more at the end, and nothing is left', async () => {
    await meter.end();
    expect(rig.place('n1').must('nft', 'list', 'tables')).not.toContain('inet');
    await meter.end();
  });
});
