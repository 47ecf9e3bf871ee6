/**
 * Asks programs for their version, and remembers the answers: a second `up` must not start a dozen
 * programs only to hear the same again. An answer holds as long as path, size and mtime do.
 */
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { linkedAbort } from '../kernel/abort.ts';
import { type Clock, systemClock } from '../kernel/clock.ts';
import { writeIfChanged } from '../kernel/stored-file.ts';
import { runProgram } from '../process/run-program.ts';
import type { ProgramSpec } from './manifest.ts';

/** A program that says nothing in this time is some other program of the same name. */
const answerWithinMs = 5000;

/** Programs asked at the same time: each takes a core for about 0.1 s. */
const concurrency = 4;

/** Forgotten from this size on: the file is small and the answers are cheap to get again. */
const maxEntries = 256;

const versionCacheSchema = z.record(
  z.string(),
  z.strictObject({
    size: z.number(),
    mtimeMs: z.number(),
    recognised: z.boolean(),
    version: z.string().optional(),
  }),
);
type VersionCache = z.infer<typeof versionCacheSchema>;

/** What a program said. */
export interface Answer {
  /** It answered as this program does. If not, it is another of the same name (iproute2 has a `bridge` too). */
  readonly recognised: boolean;
  /** Absent if it does not tell. */
  readonly version?: string | undefined;
}

export interface VersionReader {
  /** Rejects only when aborted, or when the file has just gone. */
  read(spec: ProgramSpec, file: string): Promise<Answer>;
  /** Writes down what was learnt. */
  save(): Promise<void>;
}

export interface VersionReaderOptions {
  /** Folder of the remembered answers (`versions.json`). */
  readonly cache: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock?: Clock | undefined;
  readonly signal?: AbortSignal | undefined;
}

export function versionReader(options: VersionReaderOptions): VersionReader {
  const file = path.join(options.cache, 'versions.json');
  const known = readCache(file);
  const limit = limiter(concurrency);
  let learnt = false;
  return {
    async read(spec, program) {
      const { size, mtimeMs } = statSync(program);
      const remembered = known[program];
      if (remembered?.size === size && remembered.mtimeMs === mtimeMs) return remembered;
      const answer = await limit(() => askVersion(spec, program, options));
      // Silence may be the fault of a busy machine: only what was said is remembered.
      if (answer === undefined) return { recognised: false };
      known[program] = { size, mtimeMs, ...answer };
      learnt = true;
      return answer;
    },
    async save() {
      if (!learnt) return;
      const entries = Object.entries(known).slice(-maxEntries);
      // A cache that cannot be written (read-only home) only costs the next start some time.
      await writeIfChanged(file, JSON.stringify(Object.fromEntries(entries))).catch(() => undefined);
    },
  };
}

/** Runs a program for its version; undefined when it cannot be run or gives no answer in time. */
export async function askVersion(
  spec: ProgramSpec,
  program: string,
  options: Omit<VersionReaderOptions, 'cache'>,
): Promise<Answer | undefined> {
  const { env, clock = systemClock, signal } = options;
  using patience = linkedAbort(signal);
  using _timer = clock.timer(answerWithinMs, () => {
    patience.abort(new Error(`no answer within ${String(answerWithinMs)} ms`));
  });
  try {
    const outcome = await runProgram({
      argv: [program, ...spec.version.args],
      env: { PATH: env['PATH'], HOME: env['HOME'], LC_ALL: 'C' },
      signal: patience.signal,
      clock,
    });
    const match = spec.version.pattern.exec(`${outcome.stdout}\n${outcome.stderr}`);
    return { recognised: match !== null, ...(match?.[1] === undefined ? {} : { version: match[1] }) };
  } catch {
    signal?.throwIfAborted();
    return undefined;
  }
}

function readCache(file: string): VersionCache {
  try {
    const parsed = versionCacheSchema.safeParse(JSON.parse(readFileSync(file, 'utf8')));
    return parsed.success ? parsed.data : {};
  } catch {
    return {};
  }
}

function limiter(limit: number): <T>(run: () => Promise<T>) => Promise<T> {
  let running = 0;
  const queue: (() => void)[] = [];
  return async (run) => {
    if (running >= limit) await new Promise<void>((resolve) => queue.push(resolve));
    else running += 1;
    try {
      return await run();
    } finally {
      const next = queue.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
}
