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
const eachWay = 200_000;
const listener = `require('net').createServer({ allowHalfOpen: true }, (peer) => peer.resume().on('end', () =>
  peer.end(Buffer.alloc(${String(eachWay)})))).listen(8080, '::', () => console.log('it listens'))`;
const talker = `let got = 0; require('net').connect({ port: 8080, host: process.argv[1], allowHalfOpen: true })
  .on('data', (part) => (got += part.length)).on('close', () => process.stdout.write(String(got)))
  .end(Buffer.alloc(${String(eachWay)}))`;
const never = new AbortController().signal;

describe.skipIf(!isRoot)('[V2] the traffic of addresses', () => {
  let rig: VipRig;
  let node: RigProcess;
  let meter: TrafficMeter;
  let listening: Promise<unknown> = Promise.resolve();
  const end = new AbortController();
  const inPlace = (name: string, script: string, ...args: readonly string[]): [string, ...string[]] => {
    const [nsenter = '', ...namespace] = rig.place(name).enter;
    return [nsenter, ...namespace, process.execPath, '-e', script, ...args];
  };
  beforeAll(async () => {
    rig = await vipRig(['n1']);
    node = await rig.startNode('n1', { probe: { count: 0, intervalMs: 0 } });
    await node.calls.cleanUp();
    await node.calls.take(vips, systemClock.monotonicMs() + 120_000);
    const [nsenter = '', ...namespace] = rig.place('n1').enter;
    await new Promise<void>((resolve) => {
      const request = { argv: inPlace('n1', listener), signal: end.signal, onLine: () => resolve() };
      listening = runProgram(request);
    });
    meter = trafficMeter((request) => runProgram({ ...request, argv: [nsenter, ...namespace, ...request.argv] }));
  });
  afterAll(async () => {
    end.abort();
    await listening.catch(() => undefined);
    await (node as RigProcess | undefined)?.kill();
    await (rig as VipRig | undefined)?.[Symbol.asyncDispose]();
  });

  /** A conversation by TCP: so many bytes there, and so many back. */
  async function talkTo(address: string): Promise<void> {
    const ended = await runProgram({ argv: inPlace('client', talker, address) });
    expect(ended).toMatchObject({ exit: { kind: 'code', code: 0 }, stdout: String(eachWay) });
  }
  const bytesOf = async () => meter.read(vips, never);

  test('is counted in both directions, of both families, and goes on when another address comes', async () => {
    await meter.end();
    expect((await meter.read([busy4], never)).size).toBe(0);
    await talkTo(busy4);
    const first = (await meter.read([busy4], never)).get(busy4) ?? 0;
    expect(first).toBeGreaterThan(2 * eachWay);
    expect((await bytesOf()).get(busy4)).toBe(first);
    await talkTo(busy6);
    const all = await bytesOf();
    expect(all.get(busy6)).toBeGreaterThan(2 * eachWay);
    expect([all.get(busy4), all.get(quiet4)]).toEqual([first, 0]);
  });

  test('is counted again after somebody has flushed the rules', async () => {
    rig.place('n1').must('nft', 'delete', 'table', 'inet', 'k3s-lite-vip');
    expect((await bytesOf()).size).toBe(0);
    await talkTo(busy4);
    expect((await bytesOf()).get(busy4)).toBeGreaterThan(0);
  });

  test('parts two busy addresses that are on one node, and leaves an idle one', async () => {
    const before = await bytesOf();
    for (const address of [busy4, busy6]) await talkTo(address);
    // As if that were half a minute's.
    const samples = [before, before, before, await bytesOf()].map(
      (bytes, at) => [new Map(bytes), at * 10_000] as const,
    );
    const rates = samples.reduce((known, [bytes, atMs]) => measure(known, bytes, atMs), noRates);
    const policy = { mayRebalance: true, startAbove: 1.2, stopBelow: 1, restMs: 0, movesAtOnce: 5, movesPerHour: 100 };
    const { owners } = plan({
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
    expect(owners.get(busy4)).not.toBe(owners.get(busy6));
  });

  test('is counted no more at the end, and nothing is left', async () => {
    await meter.end();
    expect(rig.place('n1').must('nft', 'list', 'tables')).not.toContain('inet');
    await meter.end();
  });
});
