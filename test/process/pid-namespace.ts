/** Programs as PID 1 of a pid namespace of their own, and the static init built for them. */
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import { buildComponents } from '../../src/component/build.ts';
import { manifest } from '../../src/component/manifest.ts';

/** Of another user only where the system lets users make namespaces. */
const unshareWords = [
  ...(process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']),
  '--pid',
  '--fork',
  '--mount-proc',
  '--kill-child',
];

/** Tests that need one are skipped where this user may make none. */
export const canUnshare = spawnSync('unshare', [...unshareWords, 'true']).status === 0;

/** Path of k3s-lite-init; from the cache of components, or built in a second. */
export async function initProgram(): Promise<string> {
  const artefacts = manifest.artefacts.filter(({ name }) => name === 'init');
  const [built] = await buildComponents({ env: process.env, artefacts });
  return path.join(built?.folder ?? '', 'k3s-lite-init');
}

export interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
}

export interface Running extends AsyncDisposable {
  readonly ended: Promise<Ended>;
  out(): string;
  err(): string;
  /** Its pid as we see it: in a namespace, of the first process within. */
  pid(): Promise<number>;
  signal(which: NodeJS.Signals | number): Promise<void>;
  type(text: string): void;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export function run(argv: readonly string[], options: RunOptions = {}): Running {
  return follow(argv, options, (pid) => pid);
}

export function runAsPidOne(argv: readonly string[], options: RunOptions = {}): Running {
  return follow(['unshare', ...unshareWords, ...argv], options, (outer) => childrenOf(outer)[0]);
}

function follow(
  [program = '', ...args]: readonly string[],
  { env = {}, cwd }: RunOptions,
  pidOf: (outer: number) => number | undefined,
): Running {
  const child = spawn(program, args, {
    stdio: 'pipe',
    env: { ...process.env, ...env },
    ...(cwd === undefined ? {} : { cwd }),
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  const pid = async () => {
    let found: number | undefined;
    await expect.poll(() => (found = pidOf(child.pid ?? 0)), { timeout: 10_000 }).toBeGreaterThan(0);
    return found ?? 0;
  };
  return {
    ended,
    out: () => out,
    err: () => err,
    pid,
    async signal(which) {
      process.kill(await pid(), which);
    },
    type: (text) => void child.stdin.write(text),
    async [Symbol.asyncDispose]() {
      // What runs within goes with it: --kill-child.
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Living children and zombies. */
export function childrenOf(pid: number): readonly number[] {
  try {
    return readdirSync(`/proc/${String(pid)}/task`).flatMap((task) =>
      readFileSync(`/proc/${String(pid)}/task/${task}/children`, 'utf8')
        .split(' ')
        .filter(Boolean)
        .map(Number),
    );
  } catch {
    return [];
  }
}
