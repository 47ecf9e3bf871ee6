import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { makeFolderWithParents } from '../../src/kernel/make-folders.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-folders-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

test('what is missing is made for its owner alone, and what is there is left', () => {
  const deep = path.join(folder, 'a', 'b', 'c');
  makeFolderWithParents(deep);
  makeFolderWithParents(deep);
  for (const made of [deep, path.dirname(deep), path.join(folder, 'a')])
    expect(statSync(made).mode & 0o777).toBe(0o700);
  symlinkSync(deep, path.join(folder, 'link'));
  makeFolderWithParents(path.join(folder, 'link', 'd'));
  expect(statSync(path.join(deep, 'd')).isDirectory()).toBe(true);
});

test.each([
  ['/proc/nope', 'ENOENT'],
  ['/proc/nope/deeper', 'ENOENT'],
  [path.join(folder, 'file'), 'EEXIST'],
  [path.join(folder, 'file', 'below'), 'ENOTDIR'],
])('%s is refused by the error of the file system (%s), at once', (place, code) => {
  writeFileSync(path.join(folder, 'file'), '');
  expect(() => {
    makeFolderWithParents(place);
  }).toThrow(expect.objectContaining({ code }) as Error);
});
