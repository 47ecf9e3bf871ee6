/** What a k3s-lite of one data directory has on the machine at this moment. */
import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import type { Paths } from '../../../src/app/paths.ts';
import { markerVariable } from '../../../src/process/run-marker.ts';

export interface Process {
  readonly pid: number;
  readonly command: string;
}

/** Processes that carry the data directory's mark in their environment, or its path on their command line. */
export function processesOf({ dataDir, runDir }: Paths): readonly Process[] {
  const mark = `${markerVariable}=${path.basename(runDir)}/`;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((name) => {
      const command = read(`/proc/${name}/cmdline`).replaceAll('\0', ' ').trim();
      const isMarked = read(`/proc/${name}/environ`)
        .split('\0')
        .some((entry) => entry.startsWith(mark));
      // A zombie has neither.
      return isMarked || command.includes(dataDir) ? [{ pid: Number(name), command }] : [];
    });
}

/** Pids of the processes of a data directory that run a program of this name. */
export function programsOf(paths: Paths, program: string): readonly number[] {
  return processesOf(paths)
    .filter(({ command }) => path.basename(command.split(' ')[0] ?? '') === program)
    .map(({ pid }) => pid);
}

/** Everything that must be gone after a clean stop, one line each. */
export async function tracesOf(paths: Paths, ports: readonly number[]): Promise<readonly string[]> {
  const open = await Promise.all(ports.map(async (port) => ((await isOpen(port)) ? [`port ${port} is open`] : [])));
  return [
    ...processesOf(paths).map(({ pid, command }) => `process ${pid} ${command}`),
    ...(existsSync(paths.runDir) ? [`folder ${paths.runDir}`, ...filesIn(paths.runDir)] : []),
    ...cgroupsOf(paths).map((folder) => `cgroup ${folder}`),
    ...open.flat(),
  ];
}

/** Deepest first. */
export function cgroupsOf({ runDir }: Paths): readonly string[] {
  const own = /^0::(.*)$/m.exec(read('/proc/self/cgroup'))?.[1];
  const mount = /^\S+ \S+ \S+ \S+ (\S+) .* - cgroup2 /m.exec(read('/proc/self/mountinfo'))?.[1];
  if (own === undefined || mount === undefined) return [];
  const tree = path.join(mount, own, 'k3s-lite', path.basename(runDir));
  if (!existsSync(tree)) return [];
  const below = readdirSync(tree, { recursive: true, withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [tree, ...below.map((entry) => path.join(entry.parentPath, entry.name))].sort().reverse();
}

/** Ends what is alive and removes its cgroups, whatever the test left: each process by its own pid. */
export function endTraces(paths: Paths): void {
  for (const { pid } of processesOf(paths)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended meanwhile.
    }
  }
  for (const folder of cgroupsOf(paths)) {
    try {
      rmdirSync(folder);
    } catch {
      // The kernel has not yet reaped what was in it.
    }
  }
}

function filesIn(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => path.join(folder, name));
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    const tell = (open: boolean) => {
      socket.destroy();
      resolve(open);
    };
    socket.once('connect', () => tell(true));
    socket.once('error', () => tell(false));
  });
}

/** Empty when it cannot be read: a process may end while it is looked at. */
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
