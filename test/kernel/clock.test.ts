import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { maxTimerMs, sleep, systemClock } from '../../src/kernel/clock.ts';
import { fakeClock } from '../kit/fake-clock.ts';

test('sleep ends after its time and leaves no listener', async () => {
  const clock = fakeClock();
  const { signal } = new AbortController();
  const slept = sleep(clock, 100, signal);
  expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  await clock.advance(99);
  expect(clock.pendingTimers).toBe(1);
  await clock.advance(1);
  await slept;
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
});

test('an abort ends a sleep with its reason at once and leaves no timer', async () => {
  const clock = fakeClock();
  const controller = new AbortController();
  const reason = new Error('no longer needed');
  const slept = sleep(clock, 100, controller.signal);
  controller.abort(reason);
  await expect(slept).rejects.toBe(reason);
  expect(clock.pendingTimers).toBe(0);
  await expect(sleep(clock, 100, controller.signal)).rejects.toBe(reason);
  expect(clock.pendingTimers).toBe(0);
});

test('the system clock goes forward, and a timer of it can be taken back', async () => {
  const fired: string[] = [];
  const before = systemClock.monotonicMs();
  systemClock.timer(1, () => fired.push('cancelled'))[Symbol.dispose]();
  systemClock.soon(() => fired.push('cancelled too'))[Symbol.dispose]();
  await new Promise<void>((resolve) => systemClock.timer(5, resolve));
  expect(fired).toEqual([]);
  expect(systemClock.monotonicMs()).toBeGreaterThan(before + 3);
  expect(Math.abs(systemClock.wallMs() - Date.now())).toBeLessThan(1000);
});

test('a timer longer than Node.js can wait does not fire at once', async () => {
  let fired = false;
  const timer = systemClock.timer(maxTimerMs * 2, () => void (fired = true));
  await new Promise<void>((resolve) => systemClock.timer(10, resolve));
  timer[Symbol.dispose]();
  expect(fired).toBe(false);
});

test('what is for later comes after what is for soon, and after what that asks for', async () => {
  const order: string[] = [];
  await new Promise<void>((resolve) => {
    systemClock.later(() => {
      order.push('later');
      resolve();
    });
    systemClock.soon(() => {
      order.push('soon');
      systemClock.soon(() => order.push('soon after'));
    });
    systemClock.soon(() => order.push('taken back'))[Symbol.dispose]();
    systemClock.later(() => order.push('taken back too'))[Symbol.dispose]();
  });
  expect(order).toEqual(['soon', 'soon after', 'later']);
});

test('what is for later is not put off for ever', async () => {
  let isOver = false;
  let turns = 0;
  const again = () => {
    turns += 1;
    if (!isOver) systemClock.soon(again);
  };
  again();
  await new Promise<void>((resolve) => systemClock.later(resolve));
  isOver = true;
  expect(turns).toBeGreaterThan(4);
  expect(turns).toBeLessThan(20);
});

test('soon runs after pending microtasks', async () => {
  const order: string[] = [];
  await new Promise<void>((resolve) => {
    systemClock.soon(() => {
      order.push('soon');
      resolve();
    });
    queueMicrotask(() => order.push('microtask'));
  });
  expect(order).toEqual(['microtask', 'soon']);
});
