/**
 * Which files a program is, for a later k3s-lite that wants to know whether it would start the same one.
 * The path does not tell: the same file is found under several (another PATH, a link), and after an
 * upgrade another one lies under it.
 */
import { statSync } from 'node:fs';

/** @throws the file system's error */
export function programIdentity(files: readonly string[]): string {
  return files
    .map((file) => {
      const { dev, ino, mtimeNs } = statSync(file, { bigint: true });
      return [dev, ino, mtimeNs].join(':');
    })
    .join(' ');
}
