/**
 * Standard output and error of this process. What they cannot take is no reason to end a supervisor:
 * a reader that went away (`| head`), a closed terminal (EIO), a full disk (ENOSPC).
 */
import { fstatSync } from 'node:fs';
import { lazily } from '../kernel/lazily.ts';
import type { Io } from './command.ts';

/** A file or a pipe has no width: nothing is wrapped for it. */
const unlimitedColumns = 10_000;

export interface ProcessIo extends Io {
  /** Something of the output could not be written, and not because its reader went away. */
  hasLostOutput(): boolean;
}

export function processIo(): ProcessIo {
  const { env } = process;
  // Made when they are first written to, which comes after the first process: making one takes 8 ms.
  const err = writerTo(
    () => process.stderr,
    () => undefined,
  );
  let hasLostOutput = false;
  const out = writerTo(
    () => process.stdout,
    (error) => {
      hasLostOutput = true;
      err(`k3s-lite: cannot write to standard output: ${error.message}\n`);
    },
  );
  const isTerminal = isTty(1, () => process.stdout);
  const forced = env['FORCE_COLOR'] !== undefined && env['FORCE_COLOR'] !== '0';
  return {
    out,
    err,
    // Nothing can be drawn on a dumb terminal: it gets what a file gets.
    outIsTty: isTerminal && env['TERM'] !== 'dumb',
    errIsTty: isTty(2, () => process.stderr),
    columns: (isTerminal && process.stdout.columns) || unlimitedColumns,
    colour: forced || (isTerminal && env['NO_COLOR'] === undefined && env['TERM'] !== 'dumb'),
    hasLostOutput: () => hasLostOutput,
  };
}

/**
 * Of a pipe or a file `isTTY` is undefined, whatever its type says; picocolors would take that for "find
 * out yourself", and colours everything where CI is set.
 */
function isTty(fd: number, stream: () => { readonly isTTY?: boolean | undefined }): boolean {
  return isCharacterDevice(fd) && stream().isTTY === true;
}

function isCharacterDevice(fd: number): boolean {
  try {
    return fstatSync(fd).isCharacterDevice();
  } catch {
    return false; // closed
  }
}

/** Writes until it fails, by event (pipe, terminal) or by throwing (file): then nothing more is written or kept. */
function writerTo(open: () => NodeJS.WriteStream, onLost: (error: Error) => void): (text: string) => void {
  let isLost = false;
  const lose = (error: NodeJS.ErrnoException) => {
    if (isLost) return;
    isLost = true;
    if (error.code !== 'EPIPE') onLost(error);
  };
  const stream = lazily(() => open().on('error', lose));
  return (text) => {
    if (isLost) return;
    try {
      stream().write(text);
    } catch (error) {
      lose(error as NodeJS.ErrnoException);
    }
  };
}
