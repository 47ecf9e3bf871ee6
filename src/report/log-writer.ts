/**
 * One opening of k3s-lite's own log, by pino, until it is ended or a write fails. What it could not
 * write is given up then: at the end of the process the destination would try for ever (a full disk).
 */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs';
import path from 'node:path';
import type { Logger, pino as Pino } from 'pino';
import { rotateByName, type RotationLimits } from './rotate-by-name.ts';
import { withoutSecrets } from './without-secrets.ts';
import { makeFolderWithParents } from '../kernel/make-folders.ts';

export interface LogWriter {
  readonly log: Logger;
  /** The last one of the file as it was found; empty if there is none. */
  readonly lastLine: string;
  /** Writes what is pending and closes the file. */
  end(): Promise<void>;
}

export interface LogWriterOptions {
  readonly file: string;
  readonly level: 'debug' | 'info' | 'warn';
  readonly limits?: RotationLimits | undefined;
  /** Told once; nothing more is written then. */
  onBroken(error: Error): void;
  /** Told each time that something is written; `isAll`: all that it was given. */
  onWritten(isAll: boolean): void;
  /** Told when the file cannot be put aside; it then goes on growing. */
  onNotRotated(error: Error): void;
}

/** Undefined when the file cannot be opened, after telling why. */
export function openLogWriter(pino: typeof Pino, options: LogWriterOptions): LogWriter | undefined {
  const { file, level, limits } = options;
  let lastLine: string;
  try {
    makeFolderWithParents(path.dirname(file));
    // Only to see that it can be: the destination opens it again, also after each rotation.
    lastLine = cutHalfLine(file);
  } catch (error) {
    options.onBroken(error as Error);
    return undefined;
  }
  const destination = pino.destination({ dest: file, mode: 0o600, sync: false });
  rotateByName(destination, file, (error) => options.onNotRotated(error), limits);
  let isBroken = false;
  destination.on('write', () => options.onWritten(false));
  destination.on('drain', () => {
    if (!isBroken) options.onWritten(true);
  });
  const ended = new Promise<void>((resolve) => {
    destination.once('close', resolve);
    destination.on('error', (error: Error) => {
      if (isBroken) return;
      isBroken = true;
      options.onBroken(error);
      destination.destroy();
    });
  });
  const log = pino(
    {
      level,
      base: { pid: process.pid },
      // The time of the event, not of its writing.
      timestamp: false,
      formatters: { level: (label) => ({ level: label }), log: withoutSecrets },
      // By then it is JSON; pino's own would take that for an error once more.
      serializers: { err: (json: unknown) => json },
    },
    destination,
  );
  return {
    log,
    lastLine,
    async end() {
      if (!isBroken) destination.end();
      await ended;
    },
  };
}

/** As much of the file's end as is read to find its last line, in bytes; an event with a long error takes some thousand. */
const lastLineBytes = 1 << 20;

/** Makes the file if it is missing; a write that ran out of room may have left half a line, which goes. @returns the last whole line */
function cutHalfLine(file: string): string {
  const fd = openSync(file, 'a+', 0o600);
  try {
    const { size } = fstatSync(fd);
    const from = Math.max(0, size - lastLineBytes);
    const bytes = Buffer.allocUnsafe(size - from);
    const end = bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, from)).lastIndexOf(0x0a) + 1;
    if (from + end < size) ftruncateSync(fd, from + end);
    const lines = bytes.subarray(0, Math.max(0, end - 1));
    return lines.toString('utf8', lines.lastIndexOf(0x0a) + 1);
  } finally {
    closeSync(fd);
  }
}
