/**
 * One builder per cache entry, over all processes of this machine: a lock file with the holder's pid
 * and start time, made with O_EXCL. The lock of a dead holder is taken over.
 *
 * The lock only saves work. If two builders ever meet (a takeover races, a network file system has no
 * O_EXCL, another PID namespace shares the cache), each builds in its own folder and the first rename wins.
 */
import { mkdir, open, readFile, rm, unlink } from 'node:fs/promises';
import path from 'node:path';
import { type Clock, sleep } from '../kernel/clock.ts';
import { type ProcessId, systemProc } from '../process/proc-reader.ts';

/** How often a waiting builder looks. The death of another builder's process has no event for us. */
const lookAgainMs = 250;

export interface LockOptions {
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
  /** Called once, when somebody else holds the lock. */
  readonly onWait?: (holder: ProcessId | undefined) => void;
  /** Looked at while waiting; the wait ends without the lock as soon as it is true. */
  readonly unneeded?: () => boolean;
}

/**
 * Waits for the lock and takes it.
 *
 * @returns undefined when `unneeded` became true first
 * @throws the signal's reason when it aborts
 */
export async function acquireLock(file: string, options: LockOptions): Promise<AsyncDisposable | undefined> {
  const { clock, signal, onWait, unneeded } = options;
  await mkdir(path.dirname(file), { recursive: true });
  for (let waited = false; ; waited = true) {
    if (await tryCreate(file)) return { [Symbol.asyncDispose]: () => rm(file, { force: true }) };
    const holder = await readHolder(file);
    if (holder !== undefined && !isAlive(holder)) {
      // Between the look and this another waiter may have taken it over: see the header for why that may be.
      await unlink(file).catch(() => undefined);
      continue;
    }
    if (waited && unneeded?.() === true) return undefined;
    if (!waited) onWait?.(holder);
    await sleep(clock, lookAgainMs, signal);
  }
}

/** This process, as others can recognise it. */
export function thisProcess(): ProcessId {
  return { pid: process.pid, startTicks: systemProc.stat(process.pid)?.startTicks ?? 0 };
}

/** True while the very process that wrote itself down runs; one that nobody has reaped yet does not. */
export function isAlive({ pid, startTicks }: ProcessId): boolean {
  const stat = systemProc.stat(pid);
  return stat?.startTicks === startTicks && stat.state !== 'Z';
}

async function tryCreate(file: string): Promise<boolean> {
  try {
    await using handle = await open(file, 'wx', 0o644);
    await handle.writeFile(JSON.stringify(thisProcess()));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Undefined while the holder has not yet written itself down, or has just gone. */
async function readHolder(file: string): Promise<ProcessId | undefined> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const match = /^\{"pid":(\d+),"startTicks":(\d+)\}$/.exec(text);
  return match === null ? undefined : { pid: Number(match[1]), startTicks: Number(match[2]) };
}
