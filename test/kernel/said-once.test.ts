import { expect, test } from 'vitest';
import { saidOnce } from '../../src/kernel/said-once.ts';

test('a line is said when it is another than the last, and again after there was nothing to say', () => {
  const lines: string[] = [];
  const say = saidOnce((line) => lines.push(line));
  for (const line of ['a', 'a', 'b', 'a', undefined, undefined, 'a', 'a']) say(line);
  expect(lines).toEqual(['a', 'b', 'a', 'a']);
});
