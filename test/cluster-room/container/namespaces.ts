/**
 * A process with namespaces of its own, and a place to run the container's builtins against it: what they
 * mount is mounted there, by the real mount(8), and is gone with the process.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { expect, onTestFinished } from 'vitest';
import type { ContainerPlace } from '../../../src/cluster/container/place.ts';
import { readMounts, type Mount } from '../../../src/cluster/mountinfo.ts';
import type { Builtin, BuiltinContext } from '../../../src/unit/builtin.ts';

export const isRoot = process.getuid?.() === 0;

export interface Namespaces {
  readonly place: ContainerPlace;
  /** Runs a program in them and returns its output. */
  inside(...argv: string[]): string;
  /** Runs a builtin against them and returns what it logged. */
  run(builtin: Builtin): Promise<readonly string[]>;
  mounts(): readonly Mount[];
}

type Kind = 'mount' | 'cgroup' | 'net';
const linkOf: Record<Kind, string> = { mount: 'mnt', cgroup: 'cgroup', net: 'net' };

export async function namespaces(...kinds: readonly Kind[]): Promise<Namespaces> {
  const flags = kinds.map((kind) => `--${kind}`);
  const holder = spawn('unshare', [...flags, '--propagation', 'private', 'sleep', '600'], { stdio: 'ignore' });
  onTestFinished(() => void holder.kill('SIGKILL'));
  const pid = String(holder.pid);
  const isOwn = (kind: Kind) =>
    readlinkSync(`/proc/${pid}/ns/${linkOf[kind]}`) !== readlinkSync(`/proc/self/ns/${linkOf[kind]}`);
  await expect.poll(() => kinds.every(isOwn)).toBe(true);
  // Private mounts are made after the namespace: sleep runs when all is done.
  await expect.poll(() => execFileSync('cat', [`/proc/${pid}/comm`], { encoding: 'utf8' })).toBe('sleep\n');
  const place = { root: `/proc/${pid}/root`, proc: `/proc/${pid}` };
  const enter = ['--target', pid, ...flags, '--'];
  return {
    place,
    inside: (...argv) => execFileSync('nsenter', [...enter, ...argv], { encoding: 'utf8' }),
    mounts: () => readMounts(place.proc),
    run: (builtin) =>
      logged(builtin, (argv) => {
        const { status, stdout, stderr } = spawnSync('nsenter', [...enter, ...argv], { encoding: 'utf8' });
        return { code: status ?? -1, output: `${stdout}${stderr}` };
      }),
  };
}

/** Runs a builtin with programs of the test's own. */
export async function logged(
  builtin: Builtin,
  runProgram: (argv: readonly string[]) => { readonly code: number; readonly output: string },
): Promise<readonly string[]> {
  const lines: string[] = [];
  const context = {
    log: (line: string) => void lines.push(line),
    run: (argv: readonly string[]) => {
      const { code, output } = runProgram(argv);
      return Promise.resolve({ exit: { kind: 'code', code } as const, output });
    },
    signal: new AbortController().signal,
  };
  await builtin(context as unknown as BuiltinContext);
  return lines;
}
