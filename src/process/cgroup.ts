/**
 * A cgroup per run, for certain killing: what a process forks can leave its group and its session,
 * but not its cgroup. Only the unified tree (cgroup2) is used: `cgroup.kill` ends all at once, and
 * `cgroup.events` tells when it is empty. No controller is enabled: what limits is in limit-groups.ts.
 *
 * Everything lies under our own cgroup (`k3s-lite/<instance>/<unit>.<generation>`); no process that
 * we did not start is ever moved.
 */
import {
  existsSync,
  mkdir as mkdirCallback,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  watch,
  writeFile as writeFileCallback,
  writeFileSync,
  accessSync,
  constants,
} from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { errnoOf } from './spawn-error.ts';

// Not node:fs/promises, whose file handles cost the event loop 0.3 ms for each unit that starts.
const mkdir = promisify(mkdirCallback);
const writeFile = promisify(writeFileCallback);

export interface UnitCgroup {
  readonly path: string;
  /**
   * Makes the cgroup and moves a process of ours in. Moving takes 6–13 ms in the kernel (it waits
   * for an RCU grace period, and a mkdir meanwhile waits with it), so both are done in the
   * background; what the process forks meanwhile stays outside and is known by its group and
   * marker alone. Never rejects; false when it could not be moved.
   */
  enter(pid: number): Promise<boolean>;
  /** Every process within, nested cgroups included. */
  pids(): readonly number[];
  isPopulated(): boolean;
  /** Kills everything within at once; false when the kernel cannot (before Linux 5.14). */
  kill(): boolean;
  /** Calls `onChange` when it becomes empty or populated. */
  watch(onChange: () => void): Disposable;
  /** Removes it if nothing is within. */
  remove(): void;
}

export interface CgroupTree {
  readonly path: string;
  /** Names a cgroup; `enter` makes it. */
  create(name: string): UnitCgroup;
  /** Removes every cgroup of this tree that is empty, and the tree if nothing is left. */
  remove(): void;
}

export interface CgroupTreeOptions {
  /** Name of this data directory's part of the tree: no slash. */
  readonly instance: string;
  /** Told once why there is no tree. */
  readonly notice: (text: string) => void;
  /** Default: /proc/self. */
  readonly procSelf?: string;
}

/** Undefined where there is no unified tree that we may write to; units then have group and marker only. */
export function openCgroupTree({
  instance,
  notice,
  procSelf = '/proc/self',
}: CgroupTreeOptions): CgroupTree | undefined {
  const own = ownCgroup(procSelf);
  const tellWithout = (reason: string) => {
    notice(`no cgroup per unit: ${reason}; units are ended by process group and environment marker`);
  };
  if (own === undefined) {
    tellWithout('no unified cgroup tree is mounted');
    return undefined;
  }
  const root = path.join(own, 'k3s-lite', instance);
  try {
    // Step by step: where the kernel answers ENOENT (as /proc does), a recursive mkdirSync never returns.
    makeFolder(path.dirname(root));
    makeFolder(root);
    accessSync(path.join(root, 'cgroup.procs'), constants.W_OK);
  } catch (error) {
    tellWithout(`${own} is not writable (${errnoOf(error) ?? String(error)})`);
    return undefined;
  }
  // One at a time: each takes a thread of Node's pool of four while it waits for the kernel.
  let entering: Promise<unknown> = Promise.resolve();
  const inTurn = (work: () => Promise<boolean>) => {
    const turn = entering.then(work);
    entering = turn;
    return turn;
  };
  let told = false;
  const refused = (reason: string) => {
    if (!told) notice(`processes cannot be moved to ${root}: ${reason}; units are ended by group and marker`);
    told = true;
  };
  return {
    path: root,
    create: (name) => unitCgroup(path.join(root, name), inTurn, refused),
    remove() {
      removeEmpty(root);
      // The folder alone: what is empty in it may be another instance's that is about to be used.
      removeFolder(path.dirname(root));
    },
  };
}

/**
 * The cgroup of an earlier run, if it still is there. Its k3s-lite may have been started from another
 * cgroup than we were (another login), so it is known by what it is called and not by where it lies.
 */
export function findCgroup(cgroupPath: string, instance: string): UnitCgroup | undefined {
  const tree = path.dirname(cgroupPath);
  if (!isOfInstance(cgroupPath, instance) || !existsSync(path.join(cgroupPath, 'cgroup.procs'))) return undefined;
  const found = unitCgroup(
    cgroupPath,
    (work) => work(),
    () => undefined,
  );
  return {
    ...found,
    remove() {
      found.remove();
      removeFolder(tree);
      removeFolder(path.dirname(tree));
    },
  };
}

/** A run's cgroup of this data directory, by what it is called. */
export function isOfInstance(cgroupPath: string, instance: string): boolean {
  const tree = path.dirname(cgroupPath);
  return path.basename(tree) === instance && path.basename(path.dirname(tree)) === 'k3s-lite';
}

type InTurn = (work: () => Promise<boolean>) => Promise<boolean>;

function unitCgroup(directory: string, inTurn: InTurn, refused: (reason: string) => void): UnitCgroup {
  const file = (name: string) => path.join(directory, name);
  return {
    path: directory,
    enter: (pid) =>
      inTurn(async () => {
        try {
          await makeFolderSoon(directory);
          await writeFile(file('cgroup.procs'), String(pid));
          return true;
        } catch (error) {
          // ESRCH: it has already ended. ENOENT: its run has ended and the cgroup is removed.
          const code = errnoOf(error) ?? String(error);
          if (code !== 'ESRCH' && code !== 'ENOENT') refused(code);
          return false;
        }
      }),
    pids: () => pidsWithin(directory),
    isPopulated() {
      try {
        return /^populated 1$/m.test(readFileSync(file('cgroup.events'), 'utf8'));
      } catch {
        return false;
      }
    },
    kill() {
      try {
        writeFileSync(file('cgroup.kill'), '1', { flag: 'r+' });
        return true;
      } catch {
        return false;
      }
    },
    watch(onChange) {
      try {
        const watcher = watch(file('cgroup.events'), { persistent: false }, onChange);
        watcher.on('error', () => undefined);
        return { [Symbol.dispose]: () => watcher.close() };
      } catch {
        return { [Symbol.dispose]: () => undefined };
      }
    },
    remove: () => removeEmpty(directory),
  };
}

/** Our cgroup as a folder of the unified tree, or of the tree of a controller of version 1. */
export function ownCgroup(procSelf: string, controller?: 'memory' | 'cpu'): string | undefined {
  try {
    const pattern = controller === undefined ? /^0::(.*)$/m : controllerLine[controller];
    const own = pattern.exec(readFileSync(`${procSelf}/cgroup`, 'utf8'))?.[1];
    if (own === undefined) return undefined;
    for (const line of readFileSync(`${procSelf}/mountinfo`, 'utf8').split('\n')) {
      const [before = '', after = ''] = line.split(' - ');
      const [type = '', , options = ''] = after.split(' ');
      const isTree =
        controller === undefined ? type === 'cgroup2' : type === 'cgroup' && options.split(',').includes(controller);
      if (!isTree) continue;
      const [, , , mountRoot = '/', mountPoint = ''] = before.split(' ');
      const within = path.relative(mountRoot, own);
      // Outside of what is mounted here: a cgroup namespace of somebody else.
      if (within === '..' || within.startsWith('../')) continue;
      return path.join(mountPoint, within);
    }
  } catch {
    // No /proc, or no cgroups at all.
  }
  return undefined;
}

/** `4:memory:/own`, `1:cpu,cpuacct:/own`. Source: cgroups(7). */
const controllerLine = {
  memory: /^\d+:(?:[^:\n]*,)?memory(?:,[^:\n]*)?:(.*)$/m,
  cpu: /^\d+:(?:[^:\n]*,)?cpu(?:,[^:\n]*)?:(.*)$/m,
} as const;

export async function makeFolderSoon(directory: string): Promise<void> {
  try {
    await mkdir(directory);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
}

export function makeFolder(directory: string): void {
  try {
    mkdirSync(directory);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
}

/** Every process within, nested cgroups included; none where there is no such cgroup. */
export function pidsWithin(directory: string): number[] {
  try {
    const own = readFileSync(path.join(directory, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
    return [...own, ...subfolders(directory).flatMap(pidsWithin)];
  } catch {
    return [];
  }
}

export function removeEmpty(directory: string): void {
  for (const folder of subfolders(directory)) removeEmpty(folder);
  removeFolder(directory);
}

export function removeFolder(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // Something still is in it, or it is gone.
  }
}

function subfolders(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => path.join(directory, entry.name));
  } catch {
    return []; // It is gone.
  }
}
