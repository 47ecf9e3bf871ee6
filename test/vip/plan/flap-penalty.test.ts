import { expect, test } from 'vitest';
import { flapHalfLifeMs, flapped, forgottenAtMs, noPenalty, penaltyAt } from '../../../src/vip/plan/flap-penalty.ts';

const after = (timesMs: readonly number[]) => timesMs.reduce((penalty, atMs) => flapped(penalty, atMs), noPenalty);

test('a node that is lost once and comes back has its full share', () => {
  expect(penaltyAt(after([0]), 0)).toBe(0);
});

test('each time that it goes again halves it once more', () => {
  expect(penaltyAt(after([0, 0]), 0)).toBe(1);
  expect(penaltyAt(after([0, 0, 0]), 0)).toBe(2);
});

test('half is forgotten in a half-life, and it ends', () => {
  const penalty = after([0, 0, 0]);
  expect(penaltyAt(penalty, flapHalfLifeMs)).toBeCloseTo(0.5);
  const endMs = forgottenAtMs(penalty, 0) ?? Number.NaN;
  expect(penaltyAt(penalty, endMs - 1)).toBeGreaterThan(0);
  expect(penaltyAt(penalty, endMs + 1)).toBe(0);
  expect(forgottenAtMs(penalty, endMs + 1)).toBeUndefined();
});

test('once a day is no flapping', () => {
  expect(penaltyAt(after([0, 86_400_000, 172_800_000]), 172_800_000)).toBe(0);
});

test('it does not grow without end', () => {
  const penalty = after(Array.from({ length: 100 }, () => 0));
  expect(forgottenAtMs(penalty, 0)).toBeLessThan(3 * flapHalfLifeMs);
});
