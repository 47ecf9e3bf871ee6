import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Clock } from '../../src/kernel/clock.ts';
import { sharedTimers } from '../../src/kernel/shared-timers.ts';
import { fakeClock } from '../kit/fake-clock.ts';

type Step = { readonly set: number } | { readonly dispose: number } | { readonly pass: number };

const steps = fc.array(
  fc.oneof(
    fc.record({ set: fc.integer({ min: 0, max: 300 }) }),
    fc.record({ dispose: fc.nat() }),
    fc.record({ pass: fc.integer({ min: 0, max: 120 }) }),
  ),
  { maxLength: 60 },
);

/** What fires and when; each third timer sets another one, each fifth disposes of the first. */
async function played(of: (clock: Clock) => Clock, script: readonly Step[]): Promise<readonly string[]> {
  const time = fakeClock();
  const clock = of(time);
  const told: string[] = [];
  const timers: Disposable[] = [];
  const set = (delayMs: number, isFirst = true) => {
    const name = timers.length;
    timers.push(
      clock.timer(delayMs, () => {
        told.push(`${String(name)} at ${String(time.monotonicMs())}`);
        if (isFirst && name % 3 === 0) set(delayMs / 2, false);
        if (name % 5 === 0) timers[0]?.[Symbol.dispose]();
      }),
    );
  };
  for (const step of script) {
    if ('set' in step) set(step.set);
    else if ('pass' in step) await time.advance(step.pass);
    else timers[step.dispose % Math.max(1, timers.length)]?.[Symbol.dispose]();
  }
  await time.advance(1000);
  expect(time.pendingTimers).toBe(0);
  return told.sort();
}

test('shared timers fire when timers of their own would', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (script) => {
      // A fraction of a millisecond is rounded up.
      const even = script.map((step) => ('set' in step ? { set: step.set * 2 } : step));
      expect(await played(sharedTimers, even)).toEqual(await played((clock) => clock, even));
    }),
    { numRuns: 300 },
  );
});

test('a crowd of them is one timer, and none when all have been disposed of', async () => {
  const clock = fakeClock();
  const shared = sharedTimers(clock);
  const fired: number[] = [];
  const timers = Array.from({ length: 100 }, (_, at) => shared.timer(100 + at, () => void fired.push(at)));
  expect(clock.pendingTimers).toBe(1);
  for (const [at, timer] of timers.entries()) if (at % 10 !== 3) timer[Symbol.dispose]();
  await clock.advance(130);
  expect(fired).toEqual([3, 13, 23]);
  expect(clock.pendingTimers).toBe(1);
  for (const timer of timers) timer[Symbol.dispose]();
  expect(clock.pendingTimers).toBe(0);
  await clock.advance(1000);
  expect(fired).toEqual([3, 13, 23]);
});

test('one that throws keeps no other from its turn', async () => {
  const clock = fakeClock();
  // The fake clock's timers may not throw: whoever calls them is the one that is told.
  const thrown: unknown[] = [];
  const catching: Clock = {
    ...clock,
    timer: (delayMs, fire) =>
      clock.timer(delayMs, () => {
        try {
          fire();
        } catch (error) {
          thrown.push(error);
        }
      }),
  };
  const shared = sharedTimers(catching);
  const fault = new Error('planted');
  const fired: string[] = [];
  shared.timer(10, () => {
    throw fault;
  });
  shared.timer(10, () => void fired.push('the same moment'));
  shared.timer(20, () => void fired.push('later'));
  await clock.advance(30);
  expect(thrown).toEqual([fault]);
  expect(fired).toEqual(['the same moment', 'later']);
});

test('a fraction of a millisecond costs no second timer: the system cuts it off', async () => {
  const clock = fakeClock();
  await clock.advance(0.4);
  let asked = 0;
  const cutting: Clock = {
    ...clock,
    timer(delayMs, fire) {
      asked += 1;
      return clock.timer(Math.trunc(delayMs), fire);
    },
  };
  const at: number[] = [];
  sharedTimers(cutting).timer(9.9, () => void at.push(clock.monotonicMs()));
  await clock.advance(20);
  expect(at).toHaveLength(1);
  expect(at[0]).toBeGreaterThanOrEqual(10.3);
  expect(asked).toBe(1);
});

test('those that are due together fire as they were asked for, whatever is due around them', async () => {
  const clock = fakeClock();
  const shared = sharedTimers(clock);
  const fired: string[] = [];
  for (const [name, delayMs] of [
    ['last', 30],
    ['one', 20],
    ['two', 20],
    ['first', 10],
    ['three', 20],
  ] as const)
    shared.timer(delayMs, () => void fired.push(name));
  await clock.advance(25);
  expect(fired).toEqual(['first', 'one', 'two', 'three']);
  await clock.advance(5);
  expect(fired).toHaveLength(5);
});

test('one that is set while others fire waits for its own time', async () => {
  const clock = fakeClock();
  const shared = sharedTimers(clock);
  const fired: string[] = [];
  shared.timer(10, () => {
    fired.push('first');
    shared.timer(0, () => void fired.push('set meanwhile'));
    second[Symbol.dispose]();
  });
  const second = shared.timer(10, () => void fired.push('taken back meanwhile'));
  shared.timer(10, () => void fired.push('third'));
  await clock.advance(10);
  expect(fired).toEqual(['first', 'third', 'set meanwhile']);
  expect(clock.pendingTimers).toBe(0);
});
