/**
 * What is written down of each run, before it counts as started: enough to recognise the process
 * after we have died, to stop it as its unit says, and (later) to adopt it.
 *
 * Written without fsync: after a crash of the machine nothing of it is true any more (`bootId`).
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { errnoOf } from './spawn-error.ts';

const runRecordSchema = z.object({
  version: z.literal(1),
  unit: z.string(),
  generation: z.number().int(),
  /** Hash of the unit as it was started. */
  hash: z.string(),
  pid: z.number().int().positive(),
  /** From /proc/PID/stat: tells this process from a later one with the same pid. */
  startTicks: z.number().int().nonnegative(),
  bootId: z.string(),
  /** Value of the marker variable in the environment of the run. */
  run: z.string(),
  program: z.string(),
  scope: z.enum(['cgroup', 'group', 'process']),
  stopSignal: z.string().regex(/^SIG[A-Z0-9]+$/),
  stopWithinMs: z.number().nonnegative(),
  cgroup: z.string().optional(),
  notifySocket: z.string().optional(),
  startedWallMs: z.number(),
});

export type RunRecord = z.output<typeof runRecordSchema>;

export type Notice = (text: string, unit?: string) => void;

export interface RunRecords {
  /** Synchronous and atomic. @throws the file system's error */
  write(record: RunRecord): void;
  /** Removes the record of this unit if it still is of this run. */
  remove(unit: string, run: string): void;
  /** All records that can be read; others are told and removed. */
  readAll(): readonly RunRecord[];
}

/** @param directory - made with mode 0700; one file per unit, mode 0600 */
export function openRunRecords(directory: string, notice: Notice): RunRecords {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const fileOf = (unit: string) => path.join(directory, `${unit}.json`);

  const read = (unit: string): RunRecord | undefined => {
    let text: string;
    try {
      text = readFileSync(fileOf(unit), 'utf8');
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') notice(`cannot read the run record ${fileOf(unit)}: ${String(error)}`, unit);
      return undefined;
    }
    const parsed = runRecordSchema.safeParse(parseJson(text));
    if (parsed.success && parsed.data.unit === unit) return parsed.data;
    notice(`the run record ${fileOf(unit)} is damaged: its process is looked for by other signs`, unit);
    rmSync(fileOf(unit), { force: true });
    return undefined;
  };

  return {
    write(record) {
      const file = fileOf(record.unit);
      const temporary = `${file}.new`;
      writeFileSync(temporary, `${JSON.stringify(record)}\n`, { mode: 0o600 });
      renameSync(temporary, file);
    },
    remove(unit, run) {
      if (read(unit)?.run === run) rmSync(fileOf(unit), { force: true });
    },
    readAll: () =>
      readdirSync(directory)
        .filter((name) => name.endsWith('.json'))
        .flatMap((name) => read(name.slice(0, -'.json'.length)) ?? []),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
