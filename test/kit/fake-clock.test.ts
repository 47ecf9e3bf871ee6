import { expect, test } from 'vitest';
import { sleep } from '../../src/kernel/clock.ts';
import { fakeClock } from './fake-clock.ts';

test('timers fire in order of due time, then of creation, at their own time', async () => {
  const clock = fakeClock();
  const fired: string[] = [];
  const note = (name: string) => () => void fired.push(`${name}@${String(clock.monotonicMs())}`);
  clock.timer(30, note('late'));
  clock.timer(10, note('first'));
  clock.timer(10, note('second'));
  clock.timer(20, note('cancelled'))[Symbol.dispose]();
  await clock.advance(25);
  expect(fired).toEqual(['first@10', 'second@10']);
  expect([clock.monotonicMs(), clock.pendingTimers, clock.nextTimerInMs]).toEqual([25, 1, 5]);
  await clock.advance(5);
  expect(fired).toEqual(['first@10', 'second@10', 'late@30']);
  expect(clock.pendingTimers).toBe(0);
});

test('promise chains and later turns are settled between two timers', async () => {
  const clock = fakeClock();
  const seen: string[] = [];
  const worker = async () => {
    await sleep(clock, 10);
    for (let hop = 0; hop < 50; hop += 1) await Promise.resolve();
    clock.soon(() => void seen.push(`worker@${String(clock.monotonicMs())}`));
  };
  void worker();
  clock.timer(10, () => void seen.push('timer'));
  await clock.advance(10);
  expect(seen).toEqual(['worker@10', 'timer']);
});

test('a timer set by a timer fires within the same advance', async () => {
  const clock = fakeClock();
  const at: number[] = [];
  const again = () => {
    at.push(clock.monotonicMs());
    if (at.length < 4) clock.timer(5, again);
  };
  clock.timer(5, again);
  await clock.advance(100);
  expect(at).toEqual([5, 10, 15, 20]);
});

test('run steps to the end of a promise, and says so when nothing can end it', async () => {
  const clock = fakeClock();
  await expect(clock.run(sleep(clock, 3_600_000).then(() => 'slept'))).resolves.toBe('slept');
  expect(clock.monotonicMs()).toBe(3_600_000);
  await expect(clock.run(new Promise<never>(() => undefined))).rejects.toThrow('nothing left to fire');
  await expect(clock.run(sleep(clock, 50), 10)).rejects.toThrow('not settled within 10 ms');
});

test('wall time can be shifted without moving monotonic time', async () => {
  const clock = fakeClock(1_000);
  clock.shiftWall(-500);
  await clock.advance(10);
  expect([clock.wallMs(), clock.monotonicMs()]).toEqual([510, 10]);
});

test('cancelling twice, or after firing, counts once', async () => {
  const clock = fakeClock();
  const one = clock.timer(1, () => undefined);
  const two = clock.timer(2, () => undefined);
  two[Symbol.dispose]();
  two[Symbol.dispose]();
  await clock.advance(5);
  one[Symbol.dispose]();
  expect(clock.pendingTimers).toBe(0);
});

test('a later turn can be cancelled by an earlier one', async () => {
  const clock = fakeClock();
  const ran: string[] = [];
  clock.soon(() => {
    ran.push('first');
    second[Symbol.dispose]();
  });
  const second = clock.soon(() => void ran.push('second'));
  await clock.settle();
  expect(ran).toEqual(['first']);
});
