import { expect, test } from 'vitest';
import { afterFirstStarts } from '../../src/app/after-first-starts.ts';
import { createEventStream } from '../../src/event/stream.ts';
import { fakeClock } from '../kit/fake-clock.ts';

function scene() {
  const clock = fakeClock();
  const events = createEventStream({ clock });
  let isTime = false;
  void afterFirstStarts({ events, clock }).then(() => (isTime = true));
  return {
    clock,
    events,
    start: (unit: string) => events.emit({ type: 'process.spawned', unit, generation: 1, pid: 7, argv: [unit] }),
    isTime: () => isTime,
  };
}

test('what takes long to load waits for a pause between starts', async () => {
  const { clock, start, isTime } = scene();
  for (let count = 0; count < 10; count++) {
    start(`u${String(count)}`);
    await clock.advance(15);
    expect(isTime()).toBe(false);
  }
  await clock.advance(5);
  expect(isTime()).toBe(true);
  expect(clock.pendingTimers).toBe(0);
});

test('it does not wait longer than somebody who asks may have to', async () => {
  const { clock, start, isTime } = scene();
  for (let ms = 0; ms < 290; ms += 10) {
    start('u');
    await clock.advance(10);
  }
  expect(isTime()).toBe(false);
  start('u');
  await clock.advance(10);
  expect(isTime()).toBe(true);
  expect(clock.pendingTimers).toBe(0);
});

test('nothing is started: it comes at the limit', async () => {
  const { clock, isTime } = scene();
  await clock.advance(299);
  expect(isTime()).toBe(false);
  await clock.advance(1);
  expect(isTime()).toBe(true);
});

test('everything is ready: it comes at once', async () => {
  const { clock, events, start, isTime } = scene();
  start('u');
  events.emit({ type: 'up.ready', elapsedMs: 5 });
  await clock.settle();
  expect(isTime()).toBe(true);
  expect(clock.pendingTimers).toBe(0);
});
