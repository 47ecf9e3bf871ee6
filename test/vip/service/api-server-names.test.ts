import { expect, test } from 'vitest';
import { readApiServerNames } from '../../../src/vip/service/api-server-names.ts';

test('what servers have written down is read; where they write nothing down nothing is known', () => {
  expect(readApiServerNames(undefined)).toBeUndefined();
  expect(readApiServerNames({})).toEqual(new Set());
  const data = { 'server-1': '192.0.2.10', 'server-2': '192.0.2.10', 'server-3': '192.0.2.11', old: 'nothing' };
  expect(readApiServerNames({ data })).toEqual(new Set(['192.0.2.10', '192.0.2.11']));
  expect(() => readApiServerNames({ data: 'all' })).toThrow('expected record');
});
