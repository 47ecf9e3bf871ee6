import { expect, test } from 'vitest';
import { formatDurationMs, parseDurationMs } from '../../src/kernel/duration.ts';

test.each([
  ['250ms', 250],
  ['10s', 10_000],
  ['1.5s', 1500],
  ['5m', 300_000],
  ['1h30m', 5_400_000],
  ['1d', 86_400_000],
  ['0s', 0],
])('%s is %d ms', (text, expectedMs) => {
  expect(parseDurationMs(text)).toBe(expectedMs);
});

test.each(['', '10', 's', '10 s', '-1s', '1s2', '1w', '1e3s', 'ms', '1..5s'])('"%s" is no duration', (text) => {
  expect(parseDurationMs(text)).toBeUndefined();
});

test.each([
  [0, '0 ms'],
  [0.4, '0.4 ms'],
  [42, '42 ms'],
  [250, '0.25 s'],
  [8_240, '8.2 s'],
  [125_000, '2 m 5 s'],
  [10_860_000, '3 h 1 m'],
])('%d ms are told as "%s"', (durationMs, expected) => {
  expect(formatDurationMs(durationMs)).toBe(expected);
});

test('a duration that rounds up to a minute is told in minutes', () => {
  expect(formatDurationMs(60_000)).toBe('1 m 0 s');
});
