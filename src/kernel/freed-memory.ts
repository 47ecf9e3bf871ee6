/**
 * What the C library does with memory that was freed: glibc gives the end of its heap back to the system as soon
 * as 128 KiB of it are free, and a page that is wanted again costs a fault. Who reads much through Node.js, which
 * takes 64 KiB for each read, would do that for each read.
 */
import { libc } from './foreign.ts';

/** Source: `M_TRIM_THRESHOLD` in <malloc.h> of glibc, mallopt(3). */
const trimThreshold = -1;

/**
 * Lets this process keep up to so many bytes that are free at the end of its heap. False where that cannot be said
 * (musl, no FFI) or where whoever started the process has said it already, in one of glibc's own variables.
 */
export function keepFreedMemory(bytes: number, env: Readonly<Record<string, string | undefined>>): boolean {
  const isSaid = env['GLIBC_TUNABLES']?.includes('glibc.malloc.trim_threshold=') === true;
  if (isSaid || env['MALLOC_TRIM_THRESHOLD_'] !== undefined) return false;
  try {
    return libc()?.func('int mallopt(int param, int value)')(trimThreshold, bytes) === 1;
  } catch {
    return false; // No such function: not glibc.
  }
}
