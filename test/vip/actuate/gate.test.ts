/** Faults that a real kernel does not show on request: slow, older, refusing. */
import { describe, expect, test } from 'vitest';
import { createGate, type WantedGate } from '../../../src/vip/actuate/gate.ts';
import type { GateNetlink } from '../../../src/vip/actuate/gate-netlink.ts';
import type { KernelNetwork } from '../../../src/vip/actuate/kernel-network.ts';
import { sleep } from '../../../src/kernel/clock.ts';
import { fakeClock } from '../../kit/fake-clock.ts';

/** A kernel that can be asked itself; what it was told. */
function netlinkOf(told: string[], isRefused: () => boolean = () => false): GateNetlink {
  return {
    change({ bytes }) {
      if (isRefused()) throw new Error('the kernel refuses the gate’s sets: ENOENT');
      told.push(bytes.includes('guarded') ? 'sets' : 'switch');
    },
    close: () => told.push('close'),
  };
}

/** @param takesMs - of each write in turn, the last one for all that follow; undefined: it is refused */
function gateOn(takesMs: readonly (number | undefined)[], deadlineMs = 3000, netlink?: GateNetlink) {
  const clock = fakeClock();
  const begunMs = clock.monotonicMs();
  const scripts: string[] = [];
  const wanted: { -readonly [Key in keyof WantedGate]: WantedGate[Key] } = {
    guarded: ['10.0.0.50'],
    open: [],
    interfaces: [{ name: 'eth0', index: 3 }],
    deadlineMs: begunMs + deadlineMs,
  };
  const kernel = {
    async changeGate(script: string) {
      const tookMs = takesMs[Math.min(scripts.length, takesMs.length - 1)];
      scripts.push(script);
      await sleep(clock, tookMs ?? 1);
      if (tookMs === undefined) throw new Error('Operation not supported');
    },
  } as Partial<KernelNetwork> as KernelNetwork;
  const gate = createGate({ kernel, netlink, clock, wanted: () => wanted });
  const timeouts = () => scripts.map((script) => /eth0" timeout (\d+)ms/.exec(script)?.[1]);
  return { clock, gate, scripts, timeouts, wanted };
}

test('a write that took long is followed by a shorter arming', async () => {
  const { clock, gate, timeouts } = gateOn([400, 10]);
  await clock.run(gate.arm());
  // 2600 ms are left then; what the last write took is taken off.
  expect(timeouts()).toEqual(['3000', '2200']);
});

test('a machine on which every write takes as long has a gate that is armed for less', async () => {
  const { clock, gate, timeouts } = gateOn([400]);
  await clock.run(gate.arm());
  expect(timeouts()).toEqual(['3000', '2200']);
});

test.each([
  ['takes longer than the one before', [400, 900, 1600]],
  ['takes longer than is left', [1600]],
])('a machine on which every write %s has a closed gate and an error', async (_what, takesMs) => {
  const { clock, gate, timeouts } = gateOn(takesMs);
  await expect(clock.run(gate.arm())).rejects.toThrow('too slow');
  expect(timeouts().at(-1)).toBeUndefined();
});

test('a Lease that is given up while a write is on its way has a closed gate, and that is no error', async () => {
  const { clock, gate, timeouts, wanted } = gateOn([10]);
  const armed = gate.arm();
  await clock.settle();
  wanted.deadlineMs = -Infinity;
  await clock.run(armed);
  expect(timeouts()).toEqual(['3000', undefined]);
});

test('wishes that come while a write is on its way share the next, and that says what is wanted by then', async () => {
  const { clock, gate, scripts, wanted } = gateOn([10]);
  const first = gate.write();
  await clock.settle();
  const others = [gate.arm(), gate.write(), gate.arm()];
  wanted.open = [{ address: '10.0.0.50', interface: 'eth0' }];
  await clock.run(Promise.all([first, ...others]));
  expect(scripts.map((script) => script.includes('10.0.0.50 . "eth0"'))).toEqual([false, true]);
});

test('a write that is refused is told of, and the next one is made all the same', async () => {
  const { clock, gate, scripts } = gateOn([undefined, 1]);
  await expect(clock.run(gate.write())).rejects.toThrow('not supported');
  await clock.run(gate.write());
  expect(scripts).toHaveLength(2);
});

test('arming what somebody has flushed writes the whole gate', async () => {
  const { clock, gate, scripts } = gateOn([undefined, 1]);
  await clock.run(gate.arm());
  expect(scripts.map((script) => script.includes('guarded'))).toEqual([false, true]);
});

test('a kernel without egress chains gets the rest', async () => {
  const { clock, gate, scripts } = gateOn([undefined, 1]);
  await clock.run(gate.begin());
  await clock.run(gate.write());
  expect(scripts.map((script) => script.includes('netdev'))).toEqual([true, false, false]);
});

describe('where the kernel can be asked itself', () => {
  test('nft is needed for the beginning, a new interface, mending and the end alone', async () => {
    const told: string[] = [];
    const { clock, gate, scripts, wanted } = gateOn([1], 3000, netlinkOf(told));
    await clock.run(gate.begin());
    await clock.run(gate.write());
    await clock.run(gate.arm());
    expect([scripts.length, told]).toEqual([1, ['sets', 'switch']]);
    wanted.interfaces = [...wanted.interfaces, { name: 'eth1', index: 4 }];
    await clock.run(gate.arm());
    await clock.run(gate.write());
    expect([scripts.length, told]).toEqual([2, ['sets', 'switch', 'sets']]);
    expect(scripts[1]).toContain('egress-4');
    await clock.run(gate.mend());
    await clock.run(gate.end());
    expect([scripts.length, told.at(-1)]).toEqual([4, 'close']);
  });

  test('what nft took long for is armed again by the kernel itself, for all that is left', async () => {
    const told: string[] = [];
    const { clock, gate, scripts, timeouts, wanted } = gateOn([1, 1600], 3000, netlinkOf(told));
    await clock.run(gate.begin());
    await clock.run(gate.mend());
    expect([scripts.length, told]).toEqual([2, ['switch']]);
    wanted.deadlineMs = clock.monotonicMs() + 900;
    await clock.run(gate.arm());
    expect([timeouts().length, told]).toEqual([2, ['switch', 'switch']]);
  });

  test('what it refuses nft writes whole, and that is asked again the next time', async () => {
    const told: string[] = [];
    let isRefused = true;
    const { clock, gate, scripts } = gateOn(
      [1],
      3000,
      netlinkOf(told, () => isRefused),
    );
    await clock.run(gate.begin());
    await clock.run(gate.write());
    await clock.run(gate.arm());
    expect(scripts.map((script) => script.includes('add chain'))).toEqual([true, true, true]);
    isRefused = false;
    await clock.run(gate.write());
    expect([scripts.length, told]).toEqual([3, ['sets']]);
  });

  test('what nft refuses leaves chains that nobody knows: the next write is nft’s again', async () => {
    const told: string[] = [];
    const { clock, gate, scripts } = gateOn([1, undefined, 1], 3000, netlinkOf(told));
    await clock.run(gate.begin());
    await expect(clock.run(gate.mend())).rejects.toThrow('not supported');
    await clock.run(gate.write());
    await clock.run(gate.write());
    expect([scripts.length, told]).toEqual([3, ['sets']]);
  });

  test('wishes that share a write get the most that one of them asked for', async () => {
    const told: string[] = [];
    const { clock, gate, scripts } = gateOn([1], 3000, netlinkOf(told));
    await clock.run(gate.begin());
    await clock.run(Promise.all([gate.arm(), gate.arm(), gate.write(), gate.arm()]));
    expect([scripts.length, told]).toEqual([1, ['sets']]);
    await clock.run(Promise.all([gate.arm(), gate.arm(), gate.mend(), gate.write()]));
    expect(scripts).toHaveLength(2);
  });
});
