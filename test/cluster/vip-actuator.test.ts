/**
 * The actuator on a real kernel: nodes are namespaces on a bridge, packets are real, and an observer
 * hears every frame and asks all the time, so that whoever would answer does.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/kernel/clock.ts';
import { questionFor } from './vip-rig/questions.ts';
import { speakers, tenures } from './vip-rig/judge.ts';
import { vipRig, type RigProcess, type VipRig } from './vip-rig/vip-rig.ts';

const isRoot = process.getuid?.() === 0;
const [vip4, vip6] = ['10.98.0.50', 'fd98::50'];
const vips = [vip4, vip6];
const inMs = (delayMs: number) => systemClock.monotonicMs() + delayMs;
const pause = (delayMs: number) => new Promise((resolve) => setTimeout(resolve, delayMs));
const taken = (addresses: readonly string[]) => addresses.map((address) => ({ address }));

describe.skipIf(!isRoot)('the actuator', () => {
  let rig: VipRig;
  let nodes: RigProcess[];
  beforeAll(async () => {
    rig = await vipRig(['n1', 'n2']);
  });
  afterAll(async () => {
    await (rig as VipRig | undefined)?.[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    nodes = [];
    await askFor(vips);
    await rig.observer.calls.forget();
  });
  afterEach(async () => {
    for (const node of nodes) {
      node.signal('SIGCONT');
      if (node.hasEnded()) continue;
      await node.calls.end().catch(() => undefined);
      await node.kill();
    }
    await rig.observer.calls.ask([], 0);
  });

  async function start(name: string, options: Parameters<VipRig['startNode']>[1] = {}): Promise<RigProcess['calls']> {
    const node = await rig.startNode(name, options);
    nodes.push(node);
    await node.calls.cleanUp();
    return node.calls;
  }
  const askFor = (addresses: readonly string[]) =>
    rig.observer.calls.ask(
      addresses.map((address) => questionFor(rig.place('observer'), address)),
      5,
    );
  const mac = (name: string) => rig.place(name).mac;
  const addressesOf = (name: string) => rig.place(name).must('ip', '-brief', 'address', 'show', 'dev', 'eth0');
  const rulesOf = (name: string) => rig.place(name).must('nft', 'list', 'ruleset');
  /** Who has spoken for it, in order. */
  const heard = async (address: string) => speakers(await rig.observer.calls.spoken(), address);
  const lastHeardMs = async (address: string) =>
    tenures(await rig.observer.calls.spoken(), address).at(-1)?.untilMs ?? NaN;

  test('[V10] takes, silences and drops addresses of both families; the machine is then as before', async () => {
    const before = addressesOf('n1');
    const node = await start('n1');
    expect(await node.take(vips, inMs(60_000))).toEqual(taken(vips));
    expect(await node.held()).toEqual(vips.map((address) => ({ address, interface: 'eth0', open: true })));
    for (const vip of vips) await expect.poll(() => heard(vip)).toEqual([mac('n1')]);

    await node.silence(vips);
    const silentMs = systemClock.monotonicMs();
    expect(await node.held()).toEqual(vips.map((address) => ({ address, interface: 'eth0', open: false })));
    await pause(200);
    for (const vip of vips) expect(await lastHeardMs(vip)).toBeLessThan(silentMs + 5);

    await node.drop(vips);
    expect(await node.held()).toEqual([]);
    expect(addressesOf('n1')).toBe(before);
    await node.end();
    expect(rulesOf('n1')).toBe('');
  });
});
