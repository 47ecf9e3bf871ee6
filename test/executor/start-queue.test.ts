import { expect, test } from 'vitest';
import { createStartQueue } from '../../src/executor/start-queue.ts';
import type { Clock } from '../../src/kernel/clock.ts';
import { fakeClock } from '../kit/fake-clock.ts';

/** A clock on which every look at the time takes a while, and which counts its turns. */
function slowClock(lookMs: number) {
  const clock = fakeClock();
  let lookedMs = 0;
  let turns = 0;
  const slow: Clock = {
    ...clock,
    monotonicMs: () => (lookedMs += lookMs),
    soon: (run) =>
      clock.soon(() => {
        turns += 1;
        run();
      }),
  };
  return { clock, slow, turns: () => turns };
}

test('starts that become possible together go by priority, equals in the order they came', async () => {
  const clock = fakeClock();
  const queue = createStartQueue(clock);
  const started: string[] = [];
  for (const [name, priority] of [
    ['b', 1],
    ['a', 5],
    ['c', 1],
    ['d', 3],
  ] as const) {
    queue.add(priority, () => void started.push(name));
  }
  expect(started, 'nothing starts in the same turn').toEqual([]);
  await clock.settle();
  expect(started).toEqual(['a', 'd', 'b', 'c']);
});

test('a start that is taken back does not happen', async () => {
  const clock = fakeClock();
  const queue = createStartQueue(clock);
  const started: string[] = [];
  const first = queue.add(1, () => void started.push('first'));
  queue.add(1, () => void started.push('second'));
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  await clock.settle();
  expect(started).toEqual(['second']);
});

test('a long queue is worked off in slices, so that the event loop breathes in between', async () => {
  const { clock, slow, turns } = slowClock(1.5);
  const queue = createStartQueue(slow);
  let started = 0;
  for (let index = 0; index < 20; index += 1) queue.add(0, () => void (started += 1));
  await clock.settle();
  expect(started).toBe(20);
  expect(turns()).toBeGreaterThanOrEqual(5);
});

test('a start that adds another start is followed by it', async () => {
  const clock = fakeClock();
  const queue = createStartQueue(clock);
  const started: string[] = [];
  queue.add(0, () => {
    started.push('outer');
    queue.add(9, () => void started.push('inner'));
  });
  await clock.settle();
  expect(started).toEqual(['outer', 'inner']);
});

test('it begins without waiting for a turn when it is told to, by priority and in slices all the same', async () => {
  const { clock, slow, turns } = slowClock(1.5);
  const queue = createStartQueue(slow);
  queue.begin();
  const started: number[] = [];
  for (let index = 0; index < 10; index += 1) queue.add(index, () => void started.push(index));
  queue.begin();
  expect(started.length).toBeGreaterThan(0);
  expect(started.length).toBeLessThan(10);
  // A slice for each turn, also where it was begun before: nothing waits for two of them.
  const first = started.length;
  queue.begin();
  expect(started.length - first).toBe(first);
  await clock.settle();
  expect(started).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
  expect(turns()).toBe(Math.ceil((10 - 2 * first) / first));
});
