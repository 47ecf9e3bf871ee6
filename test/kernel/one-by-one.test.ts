import { expect, test } from 'vitest';
import { oneByOne } from '../../src/kernel/one-by-one.ts';

test('what an input brings is handled when everything of that input is done', () => {
  const log: string[] = [];
  const give = oneByOne<{ readonly name: string; readonly brings?: string }>(({ name, brings }) => {
    log.push(`${name} begins`);
    if (brings !== undefined) give({ name: brings });
    log.push(`${name} ends`);
  });
  give({ name: 'first', brings: 'second' });
  give({ name: 'third' });
  expect(log).toEqual(['first begins', 'first ends', 'second begins', 'second ends', 'third begins', 'third ends']);
});

test('an input whose handling fails does not keep the next ones out', () => {
  const handled: number[] = [];
  const give = oneByOne<{ readonly value: number }>(({ value }) => {
    if (value === 1) throw new Error('no');
    handled.push(value);
  });
  expect(() => give({ value: 1 })).toThrow('no');
  give({ value: 2 });
  expect(handled).toEqual([2]);
});
