/** Records of starts as files: one per start, named by its time, the last 20 kept. */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { Subscriber } from '../event/stream.ts';
import { makeFolderWithParents } from '../kernel/make-folders.ts';
import { writeAtomicallySync } from '../kernel/stored-file.ts';
import { emptyModel, fold } from './model.ts';
import { durationsMs, startRecordOf, startRecordSchema, type StartRecord } from './start-record.ts';

const keptRecords = 20;
const recordName = /^\d{4}-\d{2}-\d{2}T[\d-]+\.\d{3}Z\.json$/;

export interface StartRecorderOptions {
  readonly dir: string;
  /** Called with each record after it was written. */
  onRecord?(record: StartRecord): void;
  /** Called when it could not be written; a start does not fail for that. */
  onError?(error: unknown): void;
}

/** A subscriber that writes the record when everything is ready for the first time, or when a start is given up. */
export function startRecorder({ dir, onRecord, onError }: StartRecorderOptions): Subscriber {
  const model = emptyModel();
  let isWritten = true;
  return {
    onEvent(envelope) {
      const { event, monotonicMs } = envelope;
      // What comes after the record is no part of it, and folding it for days would be for nothing.
      if (isWritten && event.type !== 'up.started') return;
      if (event.type === 'down.started') finish(monotonicMs);
      fold(model, envelope);
      if (event.type === 'up.started') isWritten = false;
      if (event.type === 'up.ready') finish(monotonicMs);
    },
  };

  function finish(endMs: number): void {
    isWritten = true;
    const record = startRecordOf(model, endMs);
    try {
      writeRecord(dir, record);
      onRecord?.(record);
    } catch (error) {
      onError?.(error);
    }
  }
}

/** Writes a record, whole or not at all, and removes the oldest beyond 20. Returns its file. */
export function writeRecord(dir: string, record: StartRecord): string {
  makeFolderWithParents(dir);
  const file = path.join(dir, `${new Date(record.startedAtMs).toISOString().replaceAll(':', '-')}.json`);
  writeAtomicallySync(file, `${JSON.stringify(record, undefined, 1)}\n`, 0o600);
  for (const old of recordFiles(dir).slice(keptRecords)) rmSync(old, { force: true });
  return file;
}

/** The files of all records, newest first. */
export function recordFiles(dir: string): readonly string[] {
  let names: string[];
  try {
    names = readdirSync(dir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return names
    .filter((name) => recordName.test(name))
    .sort()
    .reverse()
    .map((name) => path.join(dir, name));
}

/** A record, or undefined if the file is not one (any more). */
export function readRecord(file: string): StartRecord | undefined {
  try {
    const result = startRecordSchema().safeParse(JSON.parse(readFileSync(file, 'utf8')));
    return result.success ? result.data : undefined;
  } catch {
    return undefined;
  }
}

/** Self time of each unit in the newest start that became ready; empty if there is none. Never throws. */
export function latestDurationsMs(dir: string): ReadonlyMap<string, number> {
  try {
    for (const file of recordFiles(dir)) {
      const record = readRecord(file);
      if (record?.ready === true) return durationsMs(record);
    }
  } catch {
    // An unreadable folder only costs the order of the start.
  }
  return new Map();
}
