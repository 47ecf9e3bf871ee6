import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { sealWithToken, unsealWithToken } from '../../../src/cluster/join/seal.ts';

test('what is sealed is opened by the same password alone, and never looks the same twice', async () => {
  const [one, other] = [await sealWithToken('a key', 'pw'), await sealWithToken('a key', 'pw')];
  expect(one).not.toBe(other);
  expect(one).not.toContain('a key');
  await expect(unsealWithToken(one, 'pw')).resolves.toBe('a key');
  await expect(unsealWithToken(one, 'pw2')).rejects.toMatchObject({ code: 'ERR_TOKEN' });
});

test('a change of any part is noticed', async () => {
  const sealed = await sealWithToken('a key', 'pw');
  const parts = sealed.split('.');
  for (let i = 1; i < parts.length; i += 1) {
    const changed = parts.map((part, at) => (at === i ? `${part.startsWith('A') ? 'B' : 'A'}${part.slice(1)}` : part));
    await expect(unsealWithToken(changed.join('.'), 'pw')).rejects.toMatchObject({ code: 'ERR_TOKEN' });
  }
});

test('any other text is refused as such', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.string(),
        fc.string().map((text) => `v1.${text}`),
      ),
      async (text) => {
        await expect(unsealWithToken(text, 'pw')).rejects.toMatchObject({ code: 'ERR_TOKEN' });
      },
    ),
    { numRuns: 50 },
  );
});
