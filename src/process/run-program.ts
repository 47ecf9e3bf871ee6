/**
 * Runs a short program of ours (go, `--version`) to its end and collects what it wrote.
 *
 * Not for units: their output goes to a file and they outlive us (process-port.ts). Here the output
 * is wanted in memory, and the program with all its children has to end when we lose interest.
 */
import { once } from 'node:events';
import { StringDecoder } from 'node:string_decoder';
import type { Readable } from 'node:stream';
import type { Exit } from '../error/readiness-error.ts';
import { abortError, onAbort } from '../kernel/abort.ts';
import { type Clock, systemClock } from '../kernel/clock.ts';
import { exitOf } from './exit-of.ts';
import { noteOwnChild } from './own-children.ts';
import { spawnFailure } from './spawn-error.ts';

/** Bytes kept of each stream (the end of it): more is never shown to anybody. */
const keptBytes = 1_000_000;

/** How long an aborted program may take to leave before its group is killed. */
const graceMs = 2000;

export interface ProgramRequest {
  /** Program and arguments; a name without a slash is looked for on the PATH of `env`. */
  readonly argv: readonly [string, ...string[]];
  /** The whole environment; default: ours. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Its standard input; default: none. */
  readonly input?: string;
  readonly signal?: AbortSignal;
  /** Called for each complete line of either stream, as it comes. */
  readonly onLine?: (line: string, stream: 'stdout' | 'stderr') => void;
  readonly clock?: Clock;
}

export interface ProgramOutcome {
  readonly exit: Exit;
  /** The last megabyte written. */
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program in a process group of its own.
 *
 * @throws a plain Error whose `code` is the errno name (ENOENT, EACCES…) if it cannot be spawned
 * @throws the signal's reason when it aborts, after the program's whole group has ended
 */
export async function runProgram(request: ProgramRequest): Promise<ProgramOutcome> {
  const { argv, env = process.env, cwd, input, signal, onLine, clock = systemClock } = request;
  throwIfAborted(signal);
  const [file, ...args] = argv;
  // Seldom needed by a start, and long to load.
  const { execa } = await import('execa');
  const child = execa(file, args, {
    env: definedOnly(env),
    extendEnv: false,
    ...(cwd === undefined ? {} : { cwd }),
    ...(input === undefined ? { stdin: 'ignore' as const } : { input }),
    detached: true,
    buffer: false,
    reject: false,
  });
  if (child.pid !== undefined) noteOwnChild(child.pid, once(child, 'exit'));
  const stdout = collect(child.stdout, (line) => onLine?.(line, 'stdout'));
  const stderr = collect(child.stderr, (line) => onLine?.(line, 'stderr'));

  let killTimer: Disposable | undefined;
  const abortListener =
    signal &&
    onAbort(signal, () => {
      signalGroup(child.pid, 'SIGTERM');
      killTimer = clock.timer(graceMs, () => {
        signalGroup(child.pid, 'SIGKILL');
      });
    });
  try {
    const result = await child;
    // After an abort the leader has ended, but what it started may not have.
    if (killTimer !== undefined) signalGroup(child.pid, 'SIGKILL');
    throwIfAborted(signal);
    if (child.pid === undefined) throw failureOf(file, result);
    return { exit: exitOf(result), stdout: stdout(), stderr: stderr() };
  } finally {
    abortListener?.[Symbol.dispose]();
    killTimer?.[Symbol.dispose]();
  }
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortError(signal);
}

function definedOnly(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

/** Splits a stream into lines for `onLine`; the returned function gives the end of everything read. */
function collect(stream: Readable, onLine: (line: string) => void): () => string {
  const decoder = new StringDecoder('utf8');
  let text = '';
  let pending = '';
  const take = (chunk: string) => {
    text = (text + chunk).slice(-keptBytes);
    const lines = (pending + chunk).split('\n');
    pending = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  };
  stream.on('data', (chunk: Buffer) => {
    take(decoder.write(chunk));
  });
  stream.on('end', () => {
    take(decoder.end());
    if (pending !== '') onLine(pending);
  });
  return () => text;
}

function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // ESRCH: the group is already empty.
  }
}

interface NotSpawned {
  readonly code?: string | undefined;
  readonly originalMessage?: string | undefined;
}

function failureOf(file: string, { code, originalMessage }: NotSpawned): Error {
  return spawnFailure(code ?? 'EUNKNOWN', originalMessage ?? `cannot run ${file}`);
}
