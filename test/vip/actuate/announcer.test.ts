import { expect, test } from 'vitest';
import { createAnnouncer } from '../../../src/vip/actuate/announcer.ts';
import { fakeClock } from '../../kit/fake-clock.ts';

test('an address is announced at once, soon again, and then about once a minute', async () => {
  const clock = fakeClock();
  const saidAt: number[] = [];
  const announcer = createAnnouncer({ clock, random: () => 1, announce: () => saidAt.push(clock.monotonicMs()) });
  const begunMs = clock.monotonicMs();
  announcer.start(['10.0.0.50']);
  await clock.advance(140_000);
  expect(saidAt.map((atMs) => atMs - begunMs)).toEqual([0, 100, 500, 1200, 3000, 69_000, 135_000]);
  announcer[Symbol.dispose]();
});

test('one that is stopped is not announced again, the others are', async () => {
  const clock = fakeClock();
  const said: string[] = [];
  const announcer = createAnnouncer({ clock, random: () => 0.5, announce: (address) => said.push(address) });
  announcer.start(['10.0.0.50', '10.0.0.51']);
  announcer.stop(['10.0.0.50']);
  await clock.advance(100);
  expect(said).toEqual(['10.0.0.50', '10.0.0.51', '10.0.0.51']);
  announcer[Symbol.dispose]();
  await clock.advance(70_000);
  expect(said).toHaveLength(3);
});

test('a thousand are not said in one breath, but soon', async () => {
  const clock = fakeClock();
  let said = 0;
  const announcer = createAnnouncer({ clock, random: () => 0.5, announce: () => (said += 1) });
  announcer.start(Array.from({ length: 1000 }, (_, at) => `10.1.${String(at >> 8)}.${String(at & 255)}`));
  expect(said).toBe(64);
  await clock.advance(2);
  expect(said).toBe(128);
  await clock.advance(28);
  expect(said).toBe(1000);
  announcer[Symbol.dispose]();
});
