/**
 * One k3s-lite per data directory, held by a protocol of files, because Node.js has no flock, and by
 * flock(2) as well where FFI reaches it.
 *
 * `<dataDir>/lock/N` names a holder; the file with the highest number is the one that counts. Who
 * finds its holder gone creates number N+1 (by link(2), which only one can win, and whose content
 * is complete from the first moment), then looks again: if somebody has a higher number by now, it
 * was working on an old list, and steps back. The highest file is never removed, so numbers never
 * start again; releasing only marks it. A holder that was killed is known by its pid, start time
 * and boot: nothing has to be cleaned up, and a reused pid is no holder.
 *
 * By the files alone a holder in another pid namespace (a container that was replaced) cannot be asked
 * and counts as gone. The flock on the folder tells: whoever has won by the files and does
 * not get it steps back, because two containers on one volume must not both run. It comes second,
 * so that who is refused can always name the holder.
 */
import { linkSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { StartupError } from '../error/startup-error.ts';
import { makeFolderWithParents } from '../kernel/make-folders.ts';
import { isAlive, type ProcReader, systemProc } from './proc-reader.ts';
import { takeFlock } from './flock.ts';
import { errnoOf } from './spawn-error.ts';

const holderSchema = z.object({
  pid: z.number().int(),
  startTicks: z.number().int(),
  bootId: z.string(),
  /** Identity of the pid namespace in which `pid` means something. */
  pidNamespace: z.string(),
  /** Where the holder answers. */
  contact: z.string().optional(),
  sinceWallMs: z.number(),
  released: z.boolean().optional(),
});

type Holder = z.output<typeof holderSchema>;

export interface LockOptions {
  readonly dataDir: string;
  /** How to reach us: the path of the control socket. */
  readonly contact?: string;
  readonly wallMs: number;
  readonly proc?: ProcReader;
}

/** Steps back at most this often; each time another starter has been faster. */
const maxTurns = 1000;

/**
 * Takes the lock at once or not at all; disposing gives it back. Also given back by our death, however it comes.
 *
 * @throws StartupError ERR_LOCKED that names the holder; the file system's error if the folder cannot be written
 */
export function lockDataDirectory({ dataDir, contact, wallMs, proc = systemProc }: LockOptions): Disposable {
  const folder = path.join(dataDir, 'lock');
  makeFolderWithParents(folder);
  const own: Holder = {
    pid: process.pid,
    startTicks: proc.stat(process.pid)?.startTicks ?? 0,
    bootId: proc.bootId(),
    pidNamespace: pidNamespace(),
    ...(contact === undefined ? {} : { contact }),
    sinceWallMs: wallMs,
  };
  for (let turn = 0; turn < maxTurns; turn += 1) {
    const highest = Math.max(0, ...numbersIn(folder));
    const holder = highest === 0 ? undefined : readHolder(path.join(folder, String(highest)));
    if (holder !== undefined && isHeld(holder, own, proc)) throw lockedError(dataDir, holder, own);
    const mine = path.join(folder, String(highest + 1));
    if (!createWhole(mine, own)) continue;
    const numbers = numbersIn(folder);
    if (numbers.some((number) => number > highest + 1)) {
      rmSync(mine, { force: true });
      continue;
    }
    const flock = takeFlock(folder);
    if (flock.state === 'taken') {
      rmSync(mine, { force: true });
      throw lockedError(dataDir, holder, own);
    }
    removeOlder(folder, highest + 1, proc);
    return {
      [Symbol.dispose]() {
        replace(mine, { ...own, released: true });
        if (flock.state === 'held') flock.release();
      },
    };
  }
  throw new StartupError('ERR_LOCKED', `${dataDir} is being locked by too many others at once`, { dataDir });
}

/** Who holds the data directory at the moment, if anybody. */
export function lockHolder(dataDir: string, proc: ProcReader = systemProc): { readonly pid: number } | undefined {
  const folder = path.join(dataDir, 'lock');
  try {
    const holder = readHolder(path.join(folder, String(Math.max(0, ...numbersIn(folder)))));
    const here = { bootId: proc.bootId(), pidNamespace: pidNamespace() };
    return holder !== undefined && isHeld(holder, here, proc) ? { pid: holder.pid } : undefined;
  } catch {
    return undefined;
  }
}

function isHeld(holder: Holder, here: Pick<Holder, 'bootId' | 'pidNamespace'>, proc: ProcReader): boolean {
  return (
    holder.released !== true &&
    holder.bootId === here.bootId &&
    holder.pidNamespace === here.pidNamespace &&
    isAlive(proc, holder)
  );
}

/** @param holder - as far as it is known: one that has just begun may not have written its file yet */
function lockedError(dataDir: string, holder: Holder | undefined, own: Holder): StartupError {
  if (holder === undefined || holder.released === true) {
    return new StartupError('ERR_LOCKED', `${dataDir} is held by another k3s-lite that has just started`, { dataDir });
  }
  const { pid, contact, sinceWallMs, pidNamespace, bootId } = holder;
  const since = new Date(sinceWallMs).toISOString();
  const elsewhere = bootId !== own.bootId ? ' on another machine' : ' in another pid namespace (a container?)';
  const isNear = bootId === own.bootId && pidNamespace === own.pidNamespace;
  const where = contact === undefined || !isNear ? '' : `; it answers on ${contact}`;
  const withPlace = (command: string) => `\`k3s-lite ${command} --data-dir ${dataDir}\``;
  const hint = isNear
    ? `use that one (${withPlace('status')}), stop it (${withPlace('down')}), or choose another --data-dir`
    : 'stop that one where it runs, or choose another --data-dir';
  return new StartupError(
    'ERR_LOCKED',
    `${dataDir} is held by another k3s-lite: pid ${String(pid)}${isNear ? '' : elsewhere}, since ${since}${where}`,
    { dataDir, holderPid: pid, since, ...(contact === undefined ? {} : { contact }), hint },
  );
}

function numbersIn(folder: string): number[] {
  return readdirSync(folder)
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** A damaged file is one that a crash of the machine left: nobody holds it. */
function readHolder(file: string): Holder | undefined {
  try {
    const parsed = holderSchema.safeParse(JSON.parse(readFileSync(file, 'utf8')));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

/** Creates `file` with its whole content; false if it exists, or another starter has tidied up. */
function createWhole(file: string, holder: Holder): boolean {
  const draft = draftOf(file, holder);
  writeFileSync(draft, JSON.stringify(holder), { mode: 0o600 });
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST' || errnoOf(error) === 'ENOENT') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function replace(file: string, holder: Holder): void {
  const draft = draftOf(file, holder);
  try {
    writeFileSync(draft, JSON.stringify(holder), { mode: 0o600 });
    renameSync(draft, file);
  } catch {
    // The folder is gone or full: our end gives the lock back too.
  }
}

const draftOf = (file: string, { pid, startTicks }: Holder) =>
  path.join(path.dirname(file), `new.${String(pid)}.${String(startTicks)}`);

/** Removes the files of earlier holders, and drafts of starters that were killed. */
function removeOlder(folder: string, mine: number, proc: ProcReader): void {
  for (const name of readdirSync(folder)) {
    const [, pid, startTicks] = /^new\.(\d+)\.(\d+)$/.exec(name) ?? [];
    const isOld =
      pid === undefined ? Number(name) < mine : !isAlive(proc, { pid: Number(pid), startTicks: Number(startTicks) });
    if (isOld) rmSync(path.join(folder, name), { force: true });
  }
}

function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
}
