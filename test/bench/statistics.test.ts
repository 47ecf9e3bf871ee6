import { expect, test } from 'vitest';
import { interleave, median, quantile, summary } from '../../bench/statistics.mjs';

test('the median of an even number of values lies between the two in the middle', () => {
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([5])).toBe(5);
  expect(median([])).toBeNaN();
});

test('a quantile is interpolated and leaves its input as it was', () => {
  const values = [30, 10, 20];
  expect(quantile(values, 0.9)).toBe(28);
  expect(values).toEqual([30, 10, 20]);
});

test('a summary tells how many, the middle, the slow end and both extremes', () => {
  expect(summary([1, 2, 3, 4, 5])).toEqual({ n: 5, median: 3, p90: 4.6, min: 1, max: 5 });
});

test('arms take turns, and another one begins each round', async () => {
  const order: string[] = [];
  const arm = (name: string) => (round: number) => {
    order.push(`${name}${String(round)}`);
    return Promise.resolve(round);
  };
  const results = await interleave({ a: arm('a'), b: arm('b') }, 3);
  expect(order).toEqual(['a0', 'b0', 'b1', 'a1', 'a2', 'b2']);
  expect(results).toEqual({ a: [0, 1, 2], b: [0, 1, 2] });
});
