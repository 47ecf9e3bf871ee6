import { expect, test } from 'vitest';
import { StartupError } from '../../src/error/startup-error.ts';
import { withoutSecrets } from '../../src/report/without-secrets.ts';

test.each([
  ['a field', { token: 'abc' }, { token: '***' }],
  ['a field of a field', { probe: { password: 'p', url: 'u' } }, { probe: { password: '***', url: 'u' } }],
  ['a member of a list', { all: [{ a: 1 }, { secret: { b: 2 } }] }, { all: [{ a: 1 }, { secret: '***' }] }],
  ['deeper', { a: { b: { c: { authorization: 'x' } } } }, { a: { b: { c: { authorization: '***' } } } }],
])('%s of a secret name is written as ***', (_, fields, expected) => {
  const before = structuredClone(fields);
  expect(withoutSecrets(fields)).toEqual(expected);
  expect(fields).toEqual(before);
});

test('what carries no secret is not copied', () => {
  const fields = { unit: 'db', argv: ['db'], snapshot: { exit: undefined, tokenFile: '/t', at: null } };
  expect(withoutSecrets(fields)).toBe(fields);
});

test('errors become their JSON form wherever they lie, with their causes and without the secrets of their detail', () => {
  const cause = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
  const error = new StartupError('ERR_CONFIG', 'wrong', { token: 'abc', inner: cause }, { cause });
  const inner = { type: 'Error', code: 'ECONNREFUSED', message: 'refused' };
  expect(withoutSecrets({ err: error, snapshot: { lastError: error } })).toEqual({
    err: { type: 'StartupError', code: 'ERR_CONFIG', message: 'wrong', token: '***', inner, cause: inner },
    snapshot: {
      lastError: { type: 'StartupError', code: 'ERR_CONFIG', message: 'wrong', token: '***', inner, cause: inner },
    },
  });
});

test('what refers to itself comes to an end', () => {
  const fields: Record<string, unknown> = { token: 'abc' };
  fields['self'] = fields;
  expect(withoutSecrets(fields)).toMatchObject({ token: '***', self: { token: '***' } });
  expect(JSON.stringify(withoutSecrets(fields))).not.toContain('abc');
});
