/**
 * Runs a short program of a unit to its end: an `undo`, an exec probe, a builtin's helper.
 *
 * Its output goes to an unnamed temporary file: a child that it leaves behind then keeps nobody
 * waiting, and the unit's own output is not mixed into it. At the end it is appended to the log.
 */
import { closeSync, fstatSync, openSync, readSync, unlinkSync } from 'node:fs';
import type { Exit } from '../error/readiness-error.ts';
import { abortError, onAbort } from '../kernel/abort.ts';
import { spawnDetached, type SpawnRequest } from './spawn.ts';

/** The end of the output that is given back and logged. */
const keptBytes = 256 * 1024;

export interface RunToEndRequest extends Omit<SpawnRequest, 'output'> {
  readonly signal: AbortSignal;
  /** Name for the temporary file; nobody else uses it at the same time. */
  readonly temporaryFile: string;
}

/**
 * @throws the signal's reason when it aborts, after the program's group was killed
 * @throws an Error whose `code` is the errno name if it cannot be spawned
 */
export async function runToEnd(request: RunToEndRequest): Promise<{ readonly exit: Exit; readonly output: Buffer }> {
  const { signal, temporaryFile, ...spawnRequest } = request;
  throwIfAborted(signal);
  const output = openSync(temporaryFile, 'wx+', 0o600);
  unlinkSync(temporaryFile);
  try {
    const { pid, exited } = spawnDetached({ ...spawnRequest, output });
    const listener = onAbort(signal, () => {
      killGroup(pid);
    });
    const exit = await exited;
    listener[Symbol.dispose]();
    throwIfAborted(signal);
    return { exit, output: readEnd(output) };
  } finally {
    closeSync(output);
  }
}

function readEnd(fd: number): Buffer {
  const { size } = fstatSync(fd);
  const buffer = Buffer.alloc(Math.min(size, keptBytes));
  const length = readSync(fd, buffer, 0, buffer.length, size - buffer.length);
  return buffer.subarray(0, length);
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // ESRCH: it has just ended.
  }
}

function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw abortError(signal);
}
