/** Who runs k3s-lite in a test. */

export interface User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

const own: User = { name: 'this user', uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
export const isRoot = own.uid === 0;

/** A user without any rights of root. Source: the ids of "nobody" on Debian and of the kernel's overflow. */
export const plainUser: User = isRoot ? { name: 'a plain user', uid: 65534, gid: 65534 } : own;

/** Whoever the tests run as. */
export const ownUser: User = isRoot ? { ...own, name: 'root' } : own;

export const users: readonly User[] = isRoot ? [ownUser, plainUser] : [plainUser];
