/**
 * Takes away whatever a rig has left on this machine, by its name alone: processes, pods too, cgroups,
 * namespaces, files. So it works after any failure, and for rigs of a test run that was killed.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathsOf } from '../../../src/app/paths.ts';
import { readMounts } from '../../../src/cluster/mountinfo.ts';
import { cgroupsOf, processesOf } from '../kit/traces.ts';
import { run } from './run.ts';

/** Names of rigs tell who made them: `k3sr<pid>`. */
const mark = 'k3sr';
const namespaces = '/run/netns';

export interface RigPlace {
  /** Begins the name of everything that the rig has. */
  readonly name: string;
  /** Folder of its files. */
  readonly base: string;
}

export function rigPlace(pid = process.pid): RigPlace {
  const name = `${mark}${String(pid)}`;
  return { name, base: path.join(tmpdir(), name) };
}

/** @returns what could not be taken away, one line each */
export async function cleanUpRig({ name, base }: RigPlace): Promise<readonly string[]> {
  for (let round = 0; round < 100; round += 1) {
    const pids = pidsOf({ name, base });
    for (const pid of pids) kill(pid);
    if (pids.length === 0) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const left = pidsOf({ name, base }).map((pid) => `process ${String(pid)} ${commandOf(pid)}`);
  for (const folder of cgroupFolders({ name, base })) {
    try {
      rmdirSync(folder);
    } catch (error) {
      left.push(`cgroup ${folder}: ${String(error)}`);
    }
  }
  for (const namespace of namespacesOf(name)) {
    const { code, output } = run(['ip', 'netns', 'delete', namespace]);
    if (code !== 0) left.push(`namespace ${namespace}: ${output.trim()}`);
  }
  rmSync(base, { recursive: true, force: true, maxRetries: 5 });
  return left;
}

/** Rigs of test runs that are gone. */
export async function cleanUpStaleRigs(): Promise<void> {
  const names = [...(existsSync(namespaces) ? readdirSync(namespaces) : []), ...readdirSync(tmpdir())];
  const pids = new Set(names.map((name) => Number(new RegExp(`^${mark}(\\d+)(?:-|$)`).exec(name)?.[1] ?? 0)));
  pids.delete(0);
  for (const pid of pids) if (!existsSync(`/proc/${String(pid)}`)) await cleanUpRig(rigPlace(pid));
}

const namespacesOf = (name: string): readonly string[] =>
  existsSync(namespaces) ? readdirSync(namespaces).filter((one) => one.startsWith(`${name}-`)) : [];

const dataDirs = (base: string) =>
  existsSync(base) ? readdirSync(base).map((node) => path.join(base, node, 'data')) : [];

/** In the network of a machine, in the cgroup of a machine's pods, or marked by a k3s-lite of the rig. */
function pidsOf({ name, base }: RigPlace): readonly number[] {
  const found = new Set<number>();
  const networks = new Set(namespacesOf(name).map((one) => inodeOf(path.join(namespaces, one))));
  for (const entry of readdirSync('/proc').filter((one) => /^\d+$/.test(one))) {
    if (networks.has(linkOf(`/proc/${entry}/ns/net`))) found.add(Number(entry));
  }
  for (const folder of cgroupFolders({ name, base })) {
    for (const pid of read(path.join(folder, 'cgroup.procs')).split('\n')) found.add(Number(pid));
  }
  for (const dataDir of dataDirs(base)) {
    for (const { pid } of processesOf(pathsOf({ dataDir, env: {}, uid: 0 }))) found.add(pid);
  }
  found.delete(0);
  found.delete(process.pid);
  return [...found];
}

/** Deepest first: those of pods, by the machines' cgroup roots, and those of units. */
function cgroupFolders({ name, base }: RigPlace): readonly string[] {
  const ofPods = readMounts()
    .filter(({ type }) => type === 'cgroup' || type === 'cgroup2')
    .flatMap(({ point }) =>
      readdirSync(point)
        .filter((one) => one.startsWith(`${name}-`))
        .flatMap((one) => foldersIn(path.join(point, one))),
    );
  const ofUnits = dataDirs(base).flatMap((dataDir) => cgroupsOf(pathsOf({ dataDir, env: {}, uid: 0 })));
  return [...ofPods.sort().reverse(), ...ofUnits];
}

function foldersIn(top: string): readonly string[] {
  try {
    const below = readdirSync(top, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    return [top, ...below.flatMap((entry) => foldersIn(path.join(top, entry.name)))];
  } catch {
    return []; // it was removed meanwhile
  }
}

/** "net:[4026532000]" of a bind-mounted namespace, as /proc shows it. */
function inodeOf(file: string): string {
  return run(['stat', '--format', 'net:[%i]', file]).output.trim();
}

function linkOf(file: string): string {
  try {
    return readlinkSync(file);
  } catch {
    return ''; // it ended meanwhile
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // it was removed meanwhile, or its hierarchy has threads only
  }
}

const commandOf = (pid: number) =>
  read(`/proc/${String(pid)}/cmdline`)
    .replaceAll('\0', ' ')
    .trim();

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended meanwhile.
  }
}
