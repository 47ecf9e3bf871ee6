/**
 * `limits.memory` and `limits.cpu`: cgroups with controllers, only for units that ask for them. Of
 * version 1 (one tree a controller) or version 2 (one for all), whichever has the controller here.
 *
 * Entering waits for the kernel as in cgroup.ts, so it is done in the background after the spawn:
 * what a process takes in its first milliseconds is not counted. Not here: killing (cgroup.ts).
 */
import { mkdir as mkdirCallback, readFileSync, writeFileSync, writeFile as writeFileCallback } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { makeFolder, ownCgroup, removeEmpty, removeFolder } from './cgroup.ts';
import { errnoOf } from './spawn-error.ts';

const mkdir = promisify(mkdirCallback);
const writeFile = promisify(writeFileCallback);

export interface Limits {
  readonly memory?: number | undefined;
  readonly cpu?: number | undefined;
}

export interface LimitGroup {
  /** Makes it and moves a process of ours in. Never rejects; a limit that cannot be set is told. */
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

type Controller = 'memory' | 'cpu';

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

/** Opened only if a unit has limits. */
export function openLimitGroups({ instance, notice, procSelf = '/proc/self' }: LimitGroupsOptions): LimitGroups {
  const trees = new Map<Controller, { readonly version: 1 | 2; readonly root: string } | undefined>();
  const treeOf = (controller: Controller) => {
    if (!trees.has(controller)) trees.set(controller, openTree(controller, instance, procSelf));
    return trees.get(controller);
  };

  const create = (name: string, unit: string, limits: Limits): LimitGroup => {
    const parts = (['memory', 'cpu'] as const).flatMap((controller) => {
      const limit = limits[controller];
      if (limit === undefined) return [];
      const tree = treeOf(controller);
      if (tree !== undefined) return [{ controller, limit, ...tree, directory: path.join(tree.root, name) }];
      notice(`limits.${controller} is not set: no cgroup of the ${controller} controller is writable here`, unit);
      return [];
    });
    const memoryPart = parts.find(({ controller }) => controller === 'memory');
    const number = (file: string, pattern = /^(\d+)/) => {
      if (memoryPart === undefined) return undefined;
      try {
        const text = pattern.exec(readFileSync(path.join(memoryPart.directory, file), 'utf8'))?.[1];
        return text === undefined ? undefined : Number(text);
      } catch {
        return undefined; // Not entered yet, gone, or a kernel without that file.
      }
    };
    return {
      async enter(pid) {
        for (const { controller, version, limit, directory } of parts) {
          try {
            await mkdir(directory).catch((error: unknown) => {
              if (errnoOf(error) !== 'EEXIST') throw error;
            });
            for (const { file, value, isOptional = false } of files[version][controller].settings(limit)) {
              await writeFile(path.join(directory, file), value, { flag: 'r+' }).catch((error: unknown) => {
                if (!isOptional) throw error;
              });
            }
            await writeFile(path.join(directory, 'cgroup.procs'), String(pid));
          } catch (error) {
            const code = errnoOf(error) ?? String(error);
            // It has already ended.
            if (code !== 'ESRCH') notice(`limits.${controller} is not set: ${directory}: ${code}`, unit);
          }
        }
      },
      memory() {
        const isFirst = memoryPart?.version === 1;
        const bytes = number(isFirst ? 'memory.usage_in_bytes' : 'memory.current');
        const peakBytes = number(isFirst ? 'memory.max_usage_in_bytes' : 'memory.peak');
        return bytes === undefined ? undefined : { bytes, ...(peakBytes === undefined ? {} : { peakBytes }) };
      },
      oomKills: () =>
        number(memoryPart?.version === 1 ? 'memory.oom_control' : 'memory.events', /^oom_kill (\d+)/m) ?? 0,
      remove() {
        for (const { directory } of parts) removeEmpty(directory);
      },
    };
  };
  return {
    create,
    remove() {
      for (const tree of trees.values()) {
        if (tree === undefined) continue;
        removeEmpty(tree.root);
        removeFolder(path.dirname(tree.root));
      }
    },
  };
}

function openTree(controller: Controller, instance: string, procSelf: string) {
  try {
    const own = ownCgroup(procSelf, controller);
    const version = own === undefined ? 2 : 1;
    const place = own ?? ownCgroup(procSelf);
    if (place === undefined || (version === 2 && !hasController(place, controller))) return undefined;
    const folders = [place, path.join(place, 'k3s-lite')];
    const root = path.join(place, 'k3s-lite', instance);
    for (const folder of folders) {
      makeFolder(folder);
      if (version === 2) pass(folder, controller);
    }
    makeFolder(root);
    if (version === 2) pass(root, controller);
    return { version, root } as const;
  } catch {
    return undefined;
  }
}

function hasController(folder: string, controller: Controller): boolean {
  return readFileSync(path.join(folder, 'cgroup.controllers'), 'utf8').trim().split(' ').includes(controller);
}

/** Lets the cgroups within have a controller. One that has processes itself may not (EBUSY): ours are moved to one beside the units'. */
function pass(folder: string, controller: Controller): void {
  const enable = () => writeFileSync(path.join(folder, 'cgroup.subtree_control'), `+${controller}`, { flag: 'r+' });
  try {
    enable();
  } catch (error) {
    if (errnoOf(error) !== 'EBUSY') throw error;
    const self = path.join(folder, 'k3s-lite-self');
    makeFolder(self);
    writeFileSync(path.join(self, 'cgroup.procs'), String(process.pid));
    enable();
  }
}
