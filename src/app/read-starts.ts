/** The records of earlier starts, for `analyze`. */
import { StartupError } from '../error/startup-error.ts';
import type { StartRecord } from '../report/start-record.ts';
import { readRecord, recordFiles } from '../report/start-store.ts';

export { blame, criticalChain, type StartRecord } from '../report/start-record.ts';

/**
 * The record of start number `start`: 1 is the latest.
 *
 * @throws StartupError ERR_USAGE if there is no such record, or it cannot be read
 */
export function readStart(startsDir: string, start: number): StartRecord {
  const files = recordFiles(startsDir);
  const file = files[start - 1];
  if (file === undefined) {
    const there = files.length === 0 ? 'there is none: `k3s-lite up` writes one' : `there are ${String(files.length)}`;
    throw new StartupError('ERR_USAGE', `there is no record of start ${String(start)} in ${startsDir}; ${there}`, {
      start,
      records: files.length,
      hint:
        files.length === 0
          ? 'run `k3s-lite up` first, or name its data directory with --data-dir'
          : 'the latest is `--start 1`',
    });
  }
  const record = readRecord(file);
  if (record !== undefined) return record;
  throw new StartupError('ERR_USAGE', `${file} is no record of a start (any more)`, {
    file,
    hint: 'remove it: records only serve `analyze` and the order of the next start',
  });
}
