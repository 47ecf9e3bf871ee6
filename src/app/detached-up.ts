/**
 * `up --wait` and `up --detach`: starts the same `up` as a session of its own, shows what it prints
 * until everything is ready or its control socket answers, then leaves it running. A start that is not ready in time has stopped everything
 * before we hear of it, and its exit code is ours.
 */
import { openSync, closeSync, readSync, statSync } from 'node:fs';
import path from 'node:path';
import { exitCode } from '../error/codes.ts';
import { abortable } from '../kernel/abort.ts';
import { sleep, systemClock } from '../kernel/clock.ts';
import { startDetached } from '../process/detach.ts';
import { makeFolders } from './data-directory.ts';
import type { Paths } from './paths.ts';

/** How often the output of the other process is looked at, in milliseconds: only while waiting. */
const lookEveryMs = 50;

export interface DetachedUpOptions {
  /** The script and its arguments, without --wait and --detach. */
  readonly argv: readonly string[];
  /** What is waited for: the message that the other one sends. */
  readonly until: 'ready' | 'listening';
  readonly paths: Paths;
  readonly env: Readonly<Record<string, string | undefined>>;
  out(text: string): void;
  /** It is on its own now; with `until: 'listening'` only. */
  onDetached(supervisor: { readonly pid: number; readonly logFile: string }): void;
  readonly signal: AbortSignal;
}

/** Resolves with the exit code. @throws the reason of `signal` when it aborts, after the start was stopped */
export async function detachedUp({
  argv,
  until,
  paths,
  env,
  out,
  onDetached,
  signal,
}: DetachedUpOptions): Promise<number> {
  makeFolders(paths.logDir);
  const logFile = path.join(paths.dataDir, 'up.log');
  // What a background process says of its start is in its log; here only if it fails.
  const kept: string[] = [];
  using output = tail(logFile, until === 'ready' ? out : (text) => void kept.push(text));
  const child = startDetached({ argv, logFile, env });
  const ended = Promise.race([
    child.message(until).then(() => exitCode.ok),
    child.exited.then((exit) => (exit.kind === 'code' ? exit.code : exitCode.bug)),
  ]);
  const following = new AbortController();
  const follow = followUntil(following.signal, output);
  try {
    const code = await abortable(ended, signal);
    if (until === 'ready') return code;
    output.read();
    if (code === exitCode.ok) onDetached({ pid: child.pid, logFile });
    else out(kept.join(''));
    return code;
  } catch (error) {
    child.end();
    await child.exited;
    throw error;
  } finally {
    following.abort(new Error('ended'));
    await follow;
    child.release();
  }
}

async function followUntil(signal: AbortSignal, output: Tail): Promise<void> {
  while (!signal.aborted) {
    output.read();
    await sleep(systemClock, lookEveryMs, signal).catch(() => undefined);
  }
  output.read();
}

interface Tail extends Disposable {
  read(): void;
}

/** Passes on what is appended to `file` from now on. */
function tail(file: string, out: (text: string) => void): Tail {
  const fd = openSync(file, 'a+', 0o600);
  let position = statSync(file).size;
  const buffer = Buffer.alloc(64 * 1024);
  return {
    read() {
      for (let count = -1; count !== 0;) {
        count = readSync(fd, buffer, 0, buffer.length, position);
        position += count;
        if (count > 0) out(buffer.toString('utf8', 0, count));
      }
    },
    [Symbol.dispose]: () => {
      closeSync(fd);
    },
  };
}
