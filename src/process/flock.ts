/**
 * flock(2) through FFI: a lock that the kernel holds for us. It is given back by our death, whatever
 * the pid namespace, which no file that names a pid can say.
 */
import { closeSync, openSync } from 'node:fs';
import { constants } from 'node:os';
import { libc } from '../kernel/foreign.ts';

/** Source: flock(2), Linux `<asm-generic/fcntl.h>`. */
const [lockExclusive, lockNonBlocking] = [2, 4];

export type Flock =
  | { readonly state: 'held'; readonly release: () => void }
  /** By somebody else, who is alive. */
  | { readonly state: 'taken' }
  /** No FFI here, or a file system that has no locks. */
  | { readonly state: 'unknown' };

/**
 * Takes it on a file or folder, at once or not at all. Children do not inherit it: Node.js opens files with
 * O_CLOEXEC.
 */
export function takeFlock(file: string): Flock {
  const library = libc();
  if (library === undefined) return { state: 'unknown' };
  const fd = openSync(file, 'r');
  const flock = library.func('int flock(int fd, int operation)');
  if (flock(fd, lockExclusive | lockNonBlocking) === 0) return { state: 'held', release: () => closeSync(fd) };
  const errno = library.errno();
  closeSync(fd);
  return { state: errno === constants.errno.EWOULDBLOCK ? 'taken' : 'unknown' };
}
