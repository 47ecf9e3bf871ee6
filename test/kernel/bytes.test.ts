import { expect, test } from 'vitest';
import { formatBytes, parseBytes } from '../../src/kernel/bytes.ts';

test.each([
  ['64MiB', 67_108_864, '64 MiB'],
  ['1.5GiB', 1_610_612_736, '1.5 GiB'],
  ['500MB', 500_000_000, '477 MiB'],
  ['12B', 12, '12 B'],
])('%s', (text, bytes, told) => {
  expect(parseBytes(text)).toBe(bytes);
  expect(formatBytes(bytes)).toBe(told);
});

test.each(['64', '64Mi', 'MiB', '-1MiB', '1e3B', '64 MiB'])('"%s" is no amount of memory', (text) => {
  expect(parseBytes(text)).toBeUndefined();
});
