/** Faults that a real kernel does not show on request: slow, older, refusing. */
import { expect, test } from 'vitest';
import { createGate, type WantedGate } from '../../../src/vip/actuate/gate.ts';
import type { KernelNetwork } from '../../../src/vip/actuate/kernel-network.ts';
import { sleep } from '../../../src/kernel/clock.ts';
import { fakeClock } from '../../kit/fake-clock.ts';

/** @param takesMs - of each write in turn, the last one for all that follow; undefined: it is refused */
function gateOn(takesMs: readonly (number | undefined)[], deadlineMs = 3000) {
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
  const gate = createGate({ kernel, clock, wanted: () => wanted });
  const timeouts = () => scripts.map((script) => /eth0" timeout (\d+)ms/.exec(script)?.[1]);
  return { clock, gate, scripts, timeouts, wanted };
}

test('a write that took long is followed by a shorter arming', async () => {
  const { clock, gate, timeouts } = gateOn([400, 10]);
  await clock.run(gate.arm());
  // 2600 ms are left then; what a write takes is taken off, 50 ms at most.
  expect(timeouts()).toEqual(['3000', '2550']);
});

test('a machine on which every write is late has a closed gate and an error', async () => {
  const { clock, gate, timeouts } = gateOn([400]);
  await expect(clock.run(gate.arm())).rejects.toThrow('too slow');
  expect(timeouts().at(-1)).toBeUndefined();
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
