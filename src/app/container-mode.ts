/**
 * Is this the entrypoint of a container? Only then the units of units/container/ exist, which change mounts,
 * cgroups and files in /etc: a plain machine never has them in its graph.
 *
 * Marks that engines leave (`/.dockerenv`, `/run/.containerenv`) say too little: a shell in a development
 * container has them, and there nothing is ours to change.
 */
import { StartupError } from '../error/startup-error.ts';
import { initRole, type RoleQuestion } from '../process/init-role.ts';
import type { FlagValues } from './flag-values.ts';
import { type UnitFolders, withShippedPart } from './shipped.ts';

type OwnProcess = Omit<RoleQuestion, 'isWanted'>;

const ownProcess: OwnProcess = { pid: process.pid, ppid: process.ppid, env: process.env };

/** `--container on|off`, or by itself: process 1, or the child of our own init. @throws StartupError ERR_CONFIG */
export function isContainerEntry(values: FlagValues, own: OwnProcess = ownProcess): boolean {
  const mode = values['container'] ?? 'auto';
  switch (mode) {
    case 'on':
    case 'off':
      return mode === 'on';
    case 'auto': {
      const role = initRole({ ...own, isWanted: false });
      return role === 'pid-1' || (role === 'below-init' && own.ppid === 1);
    }
    default:
      throw new StartupError('ERR_CONFIG', `--container is "${String(mode)}", but must be auto, on or off`, { mode });
  }
}

/** The folders to load, with those of the container behind the shipped units that they belong to. */
export function withContainerUnits(folders: UnitFolders, isContainer: boolean): UnitFolders {
  return isContainer ? withShippedPart(folders, 'container') : folders;
}
