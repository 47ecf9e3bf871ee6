import fc from 'fast-check';
import { expect, test } from 'vitest';
import { backoffDelayMs, type Backoff } from '../../src/kernel/backoff.ts';

const plain: Backoff = { firstMs: 100, factor: 2, maxMs: 1000, jitter: 0 };

test('[S5] delays double from the first and stop growing at the cap', () => {
  const delays = [1, 2, 3, 4, 5, 6].map((retry) => backoffDelayMs(plain, retry, () => 0.5));
  expect(delays).toEqual([100, 200, 400, 800, 1000, 1000]);
});

test('[S5] jitter spreads a delay to both sides of it, never above the cap', () => {
  const jittered = { ...plain, jitter: 0.2 };
  expect(backoffDelayMs(jittered, 1, () => 0)).toBeCloseTo(80);
  expect(backoffDelayMs(jittered, 1, () => 0.999_999)).toBeCloseTo(120, 1);
  expect(backoffDelayMs(jittered, 9, () => 0.999_999)).toBe(1000);
});

test('[S5] any delay is a number from 0 to the cap, however many retries there were', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -5, max: 1_000_000 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      fc.double({ min: 1, max: 10, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (retry, random, factor, jitter) => {
        const delayMs = backoffDelayMs({ firstMs: 5, factor, maxMs: 30_000, jitter }, retry, () => random);
        expect(delayMs).toBeGreaterThanOrEqual(0);
        expect(delayMs).toBeLessThanOrEqual(30_000);
      },
    ),
  );
});
