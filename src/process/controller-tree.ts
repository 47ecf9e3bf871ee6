/**
 * Our place in the tree of a controller: of version 1 (one tree a controller) or version 2 (one for all),
 * whichever has the controller here.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { makeFolder, ownCgroup } from './cgroup.ts';
import { errnoOf } from './spawn-error.ts';

export type Controller = 'memory' | 'cpu';

export interface ControllerTree {
  readonly version: 1 | 2;
  /** Folder of this data directory's cgroups. */
  readonly root: string;
}

/**
 * Undefined where none is writable.
 *
 * @param instance - name of this data directory's part of the tree
 */
export function openControllerTree(
  controller: Controller,
  instance: string,
  procSelf: string,
): ControllerTree | undefined {
  try {
    const own = ownCgroup(procSelf, controller);
    const version = own === undefined ? 2 : 1;
    const place = own ?? ownCgroup(procSelf);
    if (place === undefined || (version === 2 && !hasController(place, controller))) return undefined;
    const root = path.join(place, 'k3s-lite', instance);
    for (const folder of [place, path.dirname(root), root]) {
      makeFolder(folder);
      if (version === 2) pass(folder, controller);
    }
    return { version, root };
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
