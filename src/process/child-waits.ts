/**
 * The system calls that Node.js lacks for children: looking which of any has ended, and, for an init, taking in
 * the orphans of one's descendants.
 */
import { constants, endianness } from 'node:os';
import { libc } from '../kernel/foreign.ts';

export interface ChildWaits {
  /** A child that has ended and that nobody has waited for yet; it stays so. The kernel goes by the order of birth. */
  nextEnded(): number | undefined;
  /** Takes its exit: the zombie is gone. @returns its wait status; undefined while it lives */
  reap(pid: number): number | undefined;
  /** Orphans of our descendants become our children, as they do of a PID 1. False if the kernel refuses. */
  becomeSubreaper(): boolean;
}

/** Sources: <linux/wait.h>, <linux/prctl.h>; the same on every architecture. */
const waitAny = 0;
const noHang = 0x1;
const exited = 0x4;
const noWait = 0x0100_0000;
const setChildSubreaper = 36;

const siginfoBytes = 128;
/** After three ints, and padding to a pointer's size. Source: <asm-generic/siginfo.h>. */
const pidOffset = process.arch === 'arm' || process.arch === 'ia32' ? 12 : 16;

/** Undefined where there is no FFI, or where nobody may look (a filter of system calls). */
export function childWaits(): ChildWaits | undefined {
  const library = libc();
  if (library === undefined) return undefined;
  const waitid = library.func('int waitid(int idType, unsigned int id, void *info, int options)');
  const waitpid = library.func('int waitpid(int pid, _Out_ int *status, int options)');
  const info = Buffer.alloc(siginfoBytes);
  const readPid = () => (endianness() === 'LE' ? info.readInt32LE(pidOffset) : info.readInt32BE(pidOffset));
  const look = () => waitid(waitAny, 0, info, exited | noHang | noWait);
  if (look() !== 0 && library.errno() !== constants.errno.ECHILD) return undefined;
  return {
    nextEnded() {
      info.fill(0);
      return look() === 0 ? readPid() || undefined : undefined;
    },
    reap(pid) {
      const status = [0];
      return waitpid(pid, status, noHang) === pid ? status[0] : undefined;
    },
    becomeSubreaper() {
      // Of an init alone: each declaration takes its time before the first process.
      const prctl = library.func('int prctl(int option, ulong a, ulong b, ulong c, ulong d)');
      return prctl(setChildSubreaper, 1, 0, 0, 0) === 0;
    },
  };
}
