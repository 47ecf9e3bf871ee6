/**
 * What is written down of each run, before it counts as started: enough to recognise the process
 * after we have died, to stop it as its unit says, and to adopt it.
 *
 * Keys may be added to version 1 as long as they are optional. A record of a later version says
 * something that we do not know: it is refused, and its processes are found by their marker.
 *
 * Written without fsync: after a crash of the machine nothing of it is true any more (`bootId`).
 */
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { parseJson } from '../kernel/json.ts';
import { lazily } from '../kernel/lazily.ts';
import { makeFolderWithParents } from '../kernel/make-folders.ts';
import { errnoOf } from './spawn-error.ts';

const version = 1;

const runRecordSchema = lazily(() =>
  z.object({
    version: z.literal(version),
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
    /** The unit's own program, as an absolute path, and which file that was. */
    program: z.string(),
    programIdentity: z.string().optional(),
    scope: z.enum(['cgroup', 'group', 'process']),
    stopSignal: z.string().regex(/^SIG[A-Z0-9]+$/),
    stopWithinMs: z.number().nonnegative(),
    cgroup: z.string().optional(),
    /** Cgroups with controllers, of a unit with `limits.memory` or `limits.cpu`. */
    limitFolders: z
      .array(
        z.object({
          controller: z.enum(['memory', 'cpu']),
          version: z.union([z.literal(1), z.literal(2)]),
          directory: z.string(),
        }),
      )
      .optional(),
    notifySocket: z.string().optional(),
    startedWallMs: z.number(),
    /** Size of the log when it began, in bytes: what follows is its output, unless the log was rotated since. */
    logStart: z.number().int().nonnegative().optional(),
    /** It has become ready, by a check that is heard only once (`notify`, `log`). */
    ready: z.boolean().optional(),
    /** The main process by its own word (MAINPID of sd_notify). */
    mainPid: z.number().int().positive().optional(),
    /** A task that has ended well: its record stays until the unit is stopped. */
    finished: z.boolean().optional(),
  }),
);

/** Of a k3s-lite that is newer than this one. */
const laterVersion = lazily(() => z.object({ version: z.number().gt(version) }));

const unfinished = '.json.new';

export type RunRecord = z.output<ReturnType<typeof runRecordSchema>>;

export type Notice = (text: string, unit?: string) => void;

export interface RunRecords {
  /**
   * Synchronous; a record that is there is replaced at once. A kill in the middle of a first one leaves what is told as
   * damaged, as one before it leaves nothing: its process is looked for by other signs.
   *
   * @throws the file system's error
   */
  write(record: RunRecord): void;
  /** Removes the record of this unit if it still is of this run. */
  remove(unit: string, run: string): void;
  /** All records that can be read; others are told and removed. */
  readAll(): readonly RunRecord[];
}

/** @param directory - made with mode 0700; one file per unit, mode 0600 */
export function openRunRecords(directory: string, notice: Notice): RunRecords {
  makeFolderWithParents(directory);
  const fileOf = (unit: string) => path.join(directory, `${unit}.json`);
  /** Units of which there is a record that we wrote. */
  const written = new Set<string>();
  /** @returns whether it was: only what is there already has to be replaced at once */
  const writeNew = (file: string, text: string): boolean => {
    try {
      writeFileSync(file, text, { mode: 0o600, flag: 'wx' });
      return true;
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return false;
      // Half of it is worse than nothing.
      rmSync(file, { force: true });
      throw error;
    }
  };

  const read = (unit: string): RunRecord | undefined => {
    let text: string;
    try {
      text = readFileSync(fileOf(unit), 'utf8');
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') notice(`cannot read the run record ${fileOf(unit)}: ${String(error)}`, unit);
      return undefined;
    }
    const json = parseJson(text);
    const parsed = runRecordSchema().safeParse(json);
    if (parsed.success && parsed.data.unit === unit) return parsed.data;
    const later = laterVersion().safeParse(json);
    notice(
      later.success
        ? `the run record ${fileOf(unit)} is of version ${String(later.data.version)}, but this k3s-lite knows ${String(version)}: it is not adopted, its processes are ended`
        : `the run record ${fileOf(unit)} is damaged: its process is looked for by other signs`,
      unit,
    );
    rmSync(fileOf(unit), { force: true });
    return undefined;
  };

  return {
    write(record) {
      const { unit } = record;
      const text = `${JSON.stringify(record)}\n`;
      if (written.has(unit) || !writeNew(fileOf(unit), text)) {
        const temporary = path.join(directory, `${unit}${unfinished}`);
        writeFileSync(temporary, text, { mode: 0o600 });
        renameSync(temporary, fileOf(unit));
      }
      written.add(unit);
    },
    remove(unit, run) {
      if (read(unit)?.run !== run) return;
      rmSync(fileOf(unit), { force: true });
      written.delete(unit);
    },
    readAll() {
      const names = readdirSync(directory);
      // Written, but not renamed when its k3s-lite was killed.
      for (const name of names) if (name.endsWith(unfinished)) rmSync(path.join(directory, name), { force: true });
      return names
        .filter((name) => name.endsWith('.json'))
        .flatMap((name) => read(name.slice(0, -'.json'.length)) ?? []);
    },
  };
}
