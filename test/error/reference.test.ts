import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { errorCodes } from '../../src/error/codes.ts';
import { errorReference } from '../../src/error/reference.ts';

test('docs/errors.md is what the table of codes says', () => {
  const file = path.resolve(import.meta.dirname, '../../docs/errors.md');
  expect(readFileSync(file, 'utf8')).toBe(errorReference());
});

test('every code is in the reference with its meaning and remedy', () => {
  const text = errorReference();
  for (const [code, { meaning, remedy }] of Object.entries(errorCodes)) {
    expect(text).toContain(`## ${code}\n`);
    expect(text).toContain(meaning);
    expect(text).toContain(remedy);
  }
});
