/**
 * The only place that spawns units. The child's output is a file, never a pipe of ours: it neither
 * blocks nor dies when we do (design contract 6). It leads a session and a process group of its own.
 */
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { execa as Execa, Options } from 'execa';
import type { Exit } from '../error/readiness-error.ts';
import type { Account } from './account.ts';
import { childExits, type ChildExits } from './child-exits.ts';
import { exitOf } from './exit-of.ts';
import { explainFailedSpawn } from './find-program.ts';
import { noteOwnChild } from './own-children.ts';
import { posixSpawner, type PosixSpawner } from './posix-spawn.ts';

export interface SpawnRequest {
  /** Absolute path of the program. */
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly account: Account | undefined;
  /** File descriptor of standard output and error. */
  readonly output: number;
}

export interface Spawned {
  readonly pid: number;
  /** Settles once, never rejects. */
  readonly exited: Promise<Exit>;
}

/** @throws an Error whose `code` is the errno name */
export function spawnDetached(request: SpawnRequest): Spawned {
  const { account } = request;
  const spawner = account === undefined || isOurs(account) ? posixSpawner() : undefined;
  const spawned = spawner === undefined ? spawnByFork(request) : spawnInPlace(request, spawner);
  noteOwnChild(spawned.pid, spawned.exited);
  return spawned;
}

let exits: ChildExits | undefined;

function spawnInPlace({ file, args, env, cwd, output }: SpawnRequest, spawner: PosixSpawner): Spawned {
  exits ??= childExits(spawner);
  const argv = [file, ...args];
  const words = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const child = exits.start({ file, argv, env: words, cwd, output });
  if (typeof child === 'string') throw explainFailedSpawn(file, [...argv, ...words], { code: child });
  return child;
}

/**
 * Through Node.js and execa: as another user, or where there is no FFI. Required only then, because
 * the two take longer to load than anything else that comes before the first unit.
 */
export function spawnByFork({ file, args, env, cwd, account, output }: SpawnRequest): Spawned {
  // An integer: with `{file}` every byte would go through us. execa takes any, its types know 1 and 2 alone.
  const fd = output as 1;
  const options: Options = {
    stdin: 'ignore',
    stdout: fd,
    stderr: fd,
    detached: true,
    buffer: false,
    cleanup: false,
    reject: false,
    extendEnv: false,
    preferLocal: false,
    env,
    cwd,
    ...(account === undefined || isOurs(account) ? {} : { uid: account.uid, gid: account.gid }),
  };
  const { execa } = createRequire(import.meta.url)('execa') as { execa: typeof Execa };
  const child = execa(file, args, options);
  const exited = child.then(exitOf);
  if (child.pid === undefined) {
    const words = [file, ...args, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)];
    throw explainFailedSpawn(file, words, { changesUser: account !== undefined && !isOurs(account) });
  }
  return { pid: child.pid, exited };
}

function isOurs({ uid, gid }: Account): boolean {
  return uid === process.getuid?.() && gid === process.getgid?.();
}

/** Best effort, as less than 0 needs root: false if it was refused. */
export function setOomScoreAdjust(pid: number, value: number): boolean {
  try {
    writeFileSync(`/proc/${String(pid)}/oom_score_adj`, String(value));
    return true;
  } catch {
    return false;
  }
}
