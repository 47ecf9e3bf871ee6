/**
 * Matrices: `npm test` walks each way through one, `npm run test:long` every combination.
 *
 * The files that use this are in both (vitest.config.ts); scripts/test.mjs sets TEST_MATRIX=whole for the latter.
 */
import { test } from 'vitest';

const isWhole = process.env['TEST_MATRIX'] === 'whole';

/** @param isShort - which of them `npm test` tries, too */
export function rowsOf<T>(all: readonly T[], isShort: (row: T) => boolean): T[] {
  return all.filter((row) => isWhole || isShort(row));
}

/** A test of `npm run test:long` alone; elsewhere it is not skipped but not there. */
export function longTest(name: string, act: () => Promise<void>): void {
  if (isWhole) test(name, act);
}
