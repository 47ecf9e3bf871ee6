/**
 * One opening of k3s-lite's own log, by pino, until it is ended or a write fails. What it could not
 * write is given up then: at the end of the process the destination would try for ever (a full disk).
 */
import { closeSync, fstatSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs';
import path from 'node:path';
import type { Logger, pino as Pino } from 'pino';
import { errorToJson } from '../error/startup-error.ts';
import { rotateByName, type RotationLimits } from './rotate-by-name.ts';

export interface LogWriter {
  readonly log: Logger;
  /** Writes what is pending and closes the file. */
  end(): Promise<void>;
}

export interface LogWriterOptions {
  readonly file: string;
  readonly level: 'debug' | 'info' | 'warn';
  readonly limits?: RotationLimits | undefined;
  /** Told once; nothing more is written then. `lost`: about how many lines it had taken and not written. */
  onBroken(error: Error, lost: number): void;
  /** Told of each successful write. */
  onWritten(): void;
  /** Told when the file cannot be put aside; it then goes on growing. */
  onNotRotated(error: Error): void;
}

/** Secrets by their usual names, wherever an error's detail may carry them. */
const secretPaths = ['password', 'token', 'secret', 'authorization'].flatMap((name) => [
  name,
  `*.${name}`,
  `*.*.${name}`,
]);

/** Undefined when the file cannot be opened, after telling why. */
export function openLogWriter(pino: typeof Pino, options: LogWriterOptions): LogWriter | undefined {
  const { file, level, limits } = options;
  try {
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    // Only to see that it can be: the destination opens it again, also after each rotation.
    endHalfLine(file);
  } catch (error) {
    options.onBroken(error as Error, 0);
    return undefined;
  }
  const destination = pino.destination({ dest: file, mode: 0o600, sync: false });
  rotateByName(destination, file, (error) => options.onNotRotated(error), limits);
  let isBroken = false;
  let pending = 0;
  destination.on('write', () => {
    pending = 0;
    if (!isBroken) options.onWritten();
  });
  const ended = new Promise<void>((resolve) => {
    destination.once('close', resolve);
    destination.on('error', (error: Error) => {
      if (isBroken) return;
      isBroken = true;
      options.onBroken(error, pending);
      destination.destroy();
    });
  });
  const log = pino(
    {
      level,
      base: { pid: process.pid },
      // The time of the event, not of its writing.
      timestamp: false,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: errorToJson },
      redact: { paths: secretPaths, censor: '***' },
      hooks: { streamWrite: (line) => ((pending += 1), line) },
    },
    destination,
  );
  return {
    log,
    async end() {
      if (!isBroken) destination.end();
      await ended;
    },
  };
}

/** Makes the file if it is missing. A write that ran out of room may have left half a line: it is ended. */
function endHalfLine(file: string): void {
  const fd = openSync(file, 'a+', 0o600);
  try {
    const { size } = fstatSync(fd);
    const last = Buffer.alloc(1);
    if (size > 0 && readSync(fd, last, 0, 1, size - 1) === 1 && last[0] !== 0x0a) writeSync(fd, '\n');
  } finally {
    closeSync(fd);
  }
}
