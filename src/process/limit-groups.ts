/**
 * `limits.memory` and `limits.cpu`: cgroups with controllers, only for units that ask for them.
 *
 * Entering waits for the kernel as in cgroup.ts, so it is done in the background after the spawn:
 * what a process takes in its first milliseconds is not counted. Not here: killing (cgroup.ts).
 */
import { readFileSync, writeFile as writeFileCallback } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { isOfInstance, makeFolderSoon, pidsWithin, removeEmpty, removeFolder } from './cgroup.ts';
import { type Controller, type ControllerTree, openControllerTree } from './controller-tree.ts';
import { errnoOf } from './spawn-error.ts';

const writeFile = promisify(writeFileCallback);

export interface Limits {
  readonly memory?: number | undefined;
  readonly cpu?: number | undefined;
}

/** The cgroup of one limit, as it is written down with the run. */
export interface LimitFolder {
  readonly controller: Controller;
  readonly version: 1 | 2;
  readonly directory: string;
}

export interface LimitGroup {
  readonly folders: readonly LimitFolder[];
  /** Makes it, sets the limits and moves a process of ours in, unless it is within. Never rejects; a limit that cannot be set is told. */
  enter(pid: number): Promise<void>;
  /** Undefined where memory is not limited. */
  memory(): { readonly bytes: number; readonly peakBytes?: number } | undefined;
  /** Processes within that the kernel killed because of the limit. */
  oomKills(): number;
  remove(): void;
}

export interface LimitGroups {
  /** @param name - of the cgroup: no slash */
  create(name: string, unit: string, limits: Limits): LimitGroup;
  /** That of an earlier run, wherever it lies: its k3s-lite may have been started from another cgroup than we were. */
  reopen(folders: readonly LimitFolder[], unit: string, limits: Limits): LimitGroup;
  /** Removes what is empty, also what an earlier run left. */
  remove(): void;
}

export interface LimitGroupsOptions {
  /** Name of this data directory's part of each tree: no slash. */
  readonly instance: string;
  readonly notice: (text: string, unit?: string) => void;
  /** Default: /proc/self. */
  readonly procSelf?: string;
}

/** The files of a controller in one version of cgroups. */
interface Files {
  /** Values by file; those that may be missing (swap accounting) are optional. */
  settings(limit: number): readonly { readonly file: string; readonly value: string; readonly isOptional?: boolean }[];
}

/** CPU time is given in slices of this length, in microseconds. Source: the kernel's default. */
const periodUs = 100_000;

const files: Record<1 | 2, Record<Controller, Files>> = {
  1: {
    memory: {
      settings: (bytes) => [
        { file: 'memory.limit_in_bytes', value: String(bytes) },
        { file: 'memory.memsw.limit_in_bytes', value: String(bytes), isOptional: true },
      ],
    },
    cpu: {
      settings: (cores) => [
        { file: 'cpu.cfs_period_us', value: String(periodUs) },
        { file: 'cpu.cfs_quota_us', value: String(Math.round(cores * periodUs)) },
      ],
    },
  },
  2: {
    memory: {
      settings: (bytes) => [
        { file: 'memory.max', value: String(bytes) },
        { file: 'memory.swap.max', value: '0', isOptional: true },
      ],
    },
    cpu: {
      settings: (cores) => [{ file: 'cpu.max', value: `${String(Math.round(cores * periodUs))} ${String(periodUs)}` }],
    },
  },
};

/** Nothing is made before the first unit with limits. */
export function openLimitGroups({ instance, notice, procSelf = '/proc/self' }: LimitGroupsOptions): LimitGroups {
  const trees = new Map<Controller, ControllerTree | undefined>();
  const treeOf = (controller: Controller) => {
    if (!trees.has(controller)) trees.set(controller, openControllerTree(controller, instance, procSelf));
    return trees.get(controller);
  };
  /** Roots of trees of an earlier run. */
  const reopened = new Set<string>();
  return {
    create(name, unit, limits) {
      const folders = (['memory', 'cpu'] as const).flatMap((controller) => {
        if (limits[controller] === undefined) return [];
        const tree = treeOf(controller);
        if (tree !== undefined) return [{ controller, version: tree.version, directory: path.join(tree.root, name) }];
        notice(`limits.${controller} is not set: no cgroup of the ${controller} controller is writable here`, unit);
        return [];
      });
      return limitGroup(folders, limits, (text) => notice(text, unit));
    },
    reopen(folders, unit, limits) {
      const own = folders.filter(({ directory }) => isOfInstance(directory, instance));
      for (const { directory } of own) reopened.add(path.dirname(directory));
      return limitGroup(own, limits, (text) => notice(text, unit));
    },
    remove() {
      for (const root of [...reopened, ...[...trees.values()].flatMap((tree) => tree?.root ?? [])]) removeTree(root);
    },
  };
}

/** Removes what an earlier run of this instance left, if nothing is within. */
export function removeLimitFolders(folders: readonly LimitFolder[], instance: string): void {
  for (const { directory } of folders) if (isOfInstance(directory, instance)) removeTree(path.dirname(directory));
}

/** What is empty of it, and the folder that all instances share if it was the last. */
function removeTree(root: string): void {
  removeEmpty(root);
  removeFolder(path.dirname(root));
}

function limitGroup(folders: readonly LimitFolder[], limits: Limits, notice: (text: string) => void): LimitGroup {
  const memory = folders.find(({ controller }) => controller === 'memory');
  const number = (file: string, pattern = /^(\d+)/) => {
    if (memory === undefined) return undefined;
    try {
      const text = pattern.exec(readFileSync(path.join(memory.directory, file), 'utf8'))?.[1];
      return text === undefined ? undefined : Number(text);
    } catch {
      return undefined; // Not entered yet, gone, or a kernel without that file.
    }
  };
  return {
    folders,
    async enter(pid) {
      for (const { controller, version, directory } of folders) {
        const limit = limits[controller];
        if (limit === undefined) continue;
        try {
          await makeFolderSoon(directory);
          for (const { file, value, isOptional = false } of files[version][controller].settings(limit)) {
            await writeFile(path.join(directory, file), value, { flag: 'r+' }).catch((error: unknown) => {
              if (!isOptional) throw error;
            });
          }
          if (!pidsWithin(directory).includes(pid)) await writeFile(path.join(directory, 'cgroup.procs'), String(pid));
        } catch (error) {
          const code = errnoOf(error) ?? String(error);
          // It has already ended.
          if (code !== 'ESRCH') notice(`limits.${controller} is not set: ${directory}: ${code}`);
        }
      }
    },
    memory() {
      const isFirst = memory?.version === 1;
      const bytes = number(isFirst ? 'memory.usage_in_bytes' : 'memory.current');
      const peakBytes = number(isFirst ? 'memory.max_usage_in_bytes' : 'memory.peak');
      return bytes === undefined ? undefined : { bytes, ...(peakBytes === undefined ? {} : { peakBytes }) };
    },
    oomKills: () => number(memory?.version === 1 ? 'memory.oom_control' : 'memory.events', /^oom_kill (\d+)/m) ?? 0,
    remove() {
      for (const { directory } of folders) removeEmpty(directory);
    },
  };
}
