import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { StartupError } from '../../../src/error/startup-error.ts';
import { makeAuthority, makeEcdsaKey } from '../../../src/cluster/certificate-maker.ts';
import { caHashOf, formatToken, parseToken, sameSecret } from '../../../src/cluster/join/token.ts';

const hash = 'a1'.repeat(32);

describe('[H5] a token', () => {
  test.each([
    [`K10${hash}::server:pw-1`, { user: 'server', password: 'pw-1', caHash: hash }],
    [`K10${hash}::node:pw-1\n`, { user: 'node', password: 'pw-1', caHash: hash }],
    ['pw-1', { user: 'node', password: 'pw-1', caHash: undefined }],
    ['K10 is no mark of a short one'.replaceAll(' ', '-'), { user: 'node', caHash: undefined }],
    ['server:pw-1', { user: 'server', password: 'pw-1', caHash: undefined }],
  ])('%j is read', (text, expected) => {
    expect(parseToken(text, 'node')).toMatchObject(expected);
  });

  test.each([
    ['  ', 'it is empty'],
    [`K10${hash.slice(2)}::server:secret`, '62 characters'],
    [`K10${hash.toUpperCase()}::server:secret`, 'hexadecimal'],
    [`K10${hash}::secret`, 'a user and a password'],
    [`K10${hash}::server:`, 'its password is empty'],
    [`K10${hash}::admin:secret`, 'its user must be'],
    [`K10${hash}::server:secret::more`, 'more than once'],
    [`${hash}::server:secret`, 'does not begin with K10'],
    [`K10${hash}::server:sec:ret`, 'a colon'],
    ['sec ret', 'a space'],
    ['s'.repeat(1025), 'longer than'],
  ])('%j is refused: %s, and the message does not repeat it', (text, why) => {
    const error = errorOf(() => parseToken(text, 'server'));
    expect(error.code).toBe('ERR_TOKEN');
    expect(error.message).toContain(why);
    expect(JSON.stringify(error)).not.toMatch(/sec.?ret/);
  });

  test('what is written is read back', () => {
    const password = fc.stringMatching(/^[!-9;-~]{1,64}$/);
    const token = fc.record({
      user: fc.constantFrom('server' as const, 'node' as const),
      password,
      caHash: fc.stringMatching(/^[0-9a-f]{64}$/),
    });
    fc.assert(
      fc.property(token, (one) => {
        expect(parseToken(formatToken(one), 'server')).toEqual(one);
      }),
    );
  });

  test('any text is a token or an ERR_TOKEN, never anything else', () => {
    const nearly = fc
      .tuple(
        fc.constantFrom('K10', 'K1', ''),
        fc.constantFrom(hash, 'ab', ''),
        fc.string(),
        fc.constantFrom('::', ':', ''),
      )
      .map(([mark, digits, tail, between]) => `${mark}${digits}${between}${tail}`);
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), nearly), (text) => {
        try {
          expect(parseToken(text, 'node').password).not.toBe('');
        } catch (error) {
          expect(error).toBeInstanceOf(StartupError);
          expect(error).toMatchObject({ code: 'ERR_TOKEN' });
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('[H5] the hash of an authority', () => {
  const authority = async (commonName: string) => {
    const key = await makeEcdsaKey();
    return makeAuthority({ name: 'server', certFile: '', keyFile: '', commonName }, key, Date.now());
  };

  test('is of the served text when it is one certificate', async () => {
    const pem = await authority('one');
    expect(caHashOf(pem)).toBe(createHash('sha256').update(pem).digest('hex'));
  });

  test('is of the root that the first leads to when there are more, whatever stands beside it', async () => {
    const [one, other] = [await authority('one'), await authority('other')];
    const hashed = caHashOf(one + other);
    expect(hashed).toBe(caHashOf(`${one}# a remark\n${other}`));
    expect(hashed).not.toBe(caHashOf(other + one));
    expect(hashed).not.toBe(caHashOf(one));
  });

  test.each([
    ['nothing', '', 'has no certificate'],
    ['a broken one', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', 'cannot be read'],
  ])('is refused of %s', (_, pem, why) => {
    expect(errorOf(() => caHashOf(pem)).message).toContain(why);
  });
});

test('secrets are the same or not, whatever their lengths', () => {
  expect(sameSecret('abc', 'abc')).toBe(true);
  expect(sameSecret('abc', 'abd')).toBe(false);
  expect(sameSecret('abc', 'abcd')).toBe(false);
  expect(sameSecret('', '')).toBe(true);
});

function errorOf(act: () => unknown): StartupError {
  try {
    act();
  } catch (error) {
    if (error instanceof StartupError) return error as StartupError;
    throw error;
  }
  throw new Error('nothing was thrown');
}
