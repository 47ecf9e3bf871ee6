/**
 * The `cgroup-nesting` builtin, for cgroup v2: a cgroup that holds processes cannot give controllers
 * to its children, so what runs in the container's root cgroup moves to `init` below it, and every
 * controller is enabled for the root's children (kubepods).
 * Source: Linux admin-guide/cgroup-v2, "No Internal Process Constraint".
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Builtin } from '../../unit/builtin.ts';
import { readMounts } from '../mountinfo.ts';
import type { ContainerPlace } from './place.ts';

const treeFolder = '/sys/fs/cgroup';

/** What forks while it is moved is found in the next round; more rounds than this would be a fork bomb. */
const maxRounds = 20;

/** @returns how many processes were moved */
export async function evacuate(tree: string): Promise<number> {
  const target = path.join(tree, 'init');
  let moved = 0;
  for (let round = 0; round < maxRounds; round += 1) {
    // 0 stands for a process of another pid namespace: nobody here can name it.
    const pids = (await wordsOf(path.join(tree, 'cgroup.procs'))).filter((pid) => pid !== '0');
    if (pids.length === 0) return moved;
    await mkdir(target, { recursive: true });
    for (const pid of pids) {
      try {
        await writeFile(path.join(target, 'cgroup.procs'), pid);
        moved += 1;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it has ended
      }
    }
  }
  throw new Error(`cannot empty ${tree}: processes keep coming`);
}

/** @returns the controllers that were enabled, and those that were refused with the reason */
export async function enableControllers(tree: string) {
  const available = await wordsOf(path.join(tree, 'cgroup.controllers'));
  const file = path.join(tree, 'cgroup.subtree_control');
  const present = new Set(await wordsOf(file));
  const enabled: string[] = [];
  const refused: string[] = [];
  // One by one: a write that names one that cannot be enabled enables none.
  for (const name of available.filter((controller) => !present.has(controller))) {
    try {
      await writeFile(file, `+${name}`);
      enabled.push(name);
    } catch (error) {
      refused.push(`${name} (${(error as NodeJS.ErrnoException).code ?? String(error)})`);
    }
  }
  return { enabled, refused };
}

export function cgroupNestingBuiltin({ root, proc }: ContainerPlace): Builtin {
  return async ({ log }) => {
    const isUnified = readMounts(proc).some(({ point, type }) => point === treeFolder && type === 'cgroup2');
    if (!isUnified) {
      log('cgroup v1: nothing to move');
      return;
    }
    const tree = root + treeFolder;
    const moved = await evacuate(tree);
    const { enabled, refused } = await enableControllers(tree);
    log(moved === 0 ? 'no process in the root cgroup' : `moved ${String(moved)} processes to ${treeFolder}/init`);
    if (enabled.length > 0) log(`enabled for pods: ${enabled.join(', ')}`);
    if (refused.length > 0) log(`not to be had for pods: ${refused.join(', ')}`);
  };
}

async function wordsOf(file: string): Promise<readonly string[]> {
  return (await readFile(file, 'utf8')).split(/\s+/).filter((word) => word !== '');
}
