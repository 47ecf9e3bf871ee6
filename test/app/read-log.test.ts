import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { lastLogLines } from '../../src/app/read-log.ts';

test('the last lines of a unit are as many as asked for, from the older copy too', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-read-log-'));
  try {
    writeFileSync(path.join(folder, 'a.log.1'), 'one\ntwo\n');
    writeFileSync(path.join(folder, 'a.log'), 'three\nfour\n');
    expect([0, 1, 2, 3, 9].map((count) => lastLogLines(folder, 'a', count))).toEqual([
      [],
      ['four'],
      ['three', 'four'],
      ['two', 'three', 'four'],
      ['one', 'two', 'three', 'four'],
    ]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
