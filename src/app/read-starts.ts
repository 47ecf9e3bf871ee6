/** The records of earlier starts, for `analyze`. */
import { StartupError } from '../error/startup-error.ts';
import type { StartRecord } from '../report/start-record.ts';
import { readRecord, recordFiles } from '../report/start-store.ts';

export { blame, criticalChain, type StartRecord } from '../report/start-record.ts';
export { diffStarts, type StartDiff, type UnitDifference } from '../report/start-diff.ts';
export { startPlot } from '../report/start-plot.ts';
export { startTrace } from '../report/start-trace.ts';

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

/** The starts before number `start` that became ready, newest first. @throws StartupError ERR_USAGE if there are none */
export function earlierStarts(startsDir: string, start: number): readonly StartRecord[] {
  const earlier = recordFiles(startsDir)
    .slice(start)
    .flatMap((file) => readRecord(file) ?? [])
    .filter(({ ready }) => ready);
  if (earlier.length > 0) return earlier;
  throw new StartupError(
    'ERR_USAGE',
    `there is no earlier start that became ready to compare start ${String(start)} with`,
    {
      start,
      hint: 'start it once more, or name two starts: `k3s-lite analyze diff 1 2`',
    },
  );
}
