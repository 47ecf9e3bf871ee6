import { expect, test } from 'vitest';
import { keepAliveMs } from '../../src/balancer/keep-alive.ts';
import { randomFrom } from '../kit/random.ts';

test('connections that were made together are not asked at the same time, and 30 s after their last word on average', () => {
  const random = randomFrom(1);
  const delaysMs = Array.from({ length: 16_000 }, () => keepAliveMs(random));
  const inSecond = new Map<number, number>();
  // The system takes whole seconds.
  for (const delayMs of delaysMs.map((each) => Math.floor(each / 1000)))
    inSecond.set(delayMs, (inSecond.get(delayMs) ?? 0) + 1);
  // Both sides of 8,000, and what the loopback takes at once. Source: net.core.netdev_max_backlog.
  expect(Math.max(...inSecond.values())).toBeLessThan(1000);
  expect(Math.min(...delaysMs)).toBeGreaterThanOrEqual(15_000);
  expect(Math.max(...delaysMs)).toBeLessThanOrEqual(45_000);
});
