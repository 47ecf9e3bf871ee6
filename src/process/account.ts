/**
 * User and group names to ids, from /etc/passwd and /etc/group (no name service: what is not in
 * these files can be given as a number). A process that changes its user has no supplementary
 * groups: libuv drops them all before it sets the ids.
 */
import { readFileSync } from 'node:fs';
import { spawnFailure } from './spawn-error.ts';

export interface Account {
  readonly uid: number;
  readonly gid: number;
  /** Undefined for a bare number that is not in the file. */
  readonly name?: string;
  readonly home?: string;
}

interface Ask {
  readonly user?: string | undefined;
  readonly group?: string | undefined;
}

/**
 * Undefined when neither is asked for.
 *
 * @throws an Error with code EINVAL that names the unknown user or group
 */
export function resolveAccount({ user, group }: Ask, etc = '/etc'): Account | undefined {
  if (user === undefined && group === undefined) return undefined;
  const entry = user === undefined ? undefined : findUser(user, `${etc}/passwd`);
  const gid = group === undefined ? undefined : findGroup(group, `${etc}/group`);
  const uid = entry?.uid ?? process.getuid?.() ?? 0;
  return { ...entry, uid, gid: gid ?? entry?.gid ?? process.getgid?.() ?? 0 };
}

function findUser(user: string, file: string): Account {
  const number = asId(user);
  for (const [name, , uid, gid, , home] of rows(file)) {
    if (name !== user && (number === undefined || Number(uid) !== number)) continue;
    return {
      uid: Number(uid),
      gid: Number(gid),
      ...(name === undefined ? {} : { name }),
      ...(home === undefined ? {} : { home }),
    };
  }
  if (number === undefined) throw spawnFailure('EINVAL', `user "${user}" does not exist (looked in ${file})`);
  return { uid: number, gid: number };
}

function findGroup(group: string, file: string): number {
  for (const [name, , gid] of rows(file)) if (name === group) return Number(gid);
  const number = asId(group);
  if (number === undefined) throw spawnFailure('EINVAL', `group "${group}" does not exist (looked in ${file})`);
  return number;
}

const asId = (text: string) => (/^\d{1,10}$/.test(text) ? Number(text) : undefined);

function rows(file: string): string[][] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return [];
  }
  return text.split('\n').map((line) => line.split(':'));
}
