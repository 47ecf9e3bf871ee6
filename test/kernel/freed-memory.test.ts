import { expect, test } from 'vitest';
import { libc } from '../../src/kernel/foreign.ts';
import { keepFreedMemory } from '../../src/kernel/freed-memory.ts';

/** More than this process may have free between other things: only the end of the heap is given back. */
const blocks = 1024;
const blockBytes = 64 * 1024;

const glibc = (process.report.getReport() as { header: { glibcVersionRuntime?: string } }).header.glibcVersionRuntime;

test.runIf(glibc !== undefined)('memory that was freed is there for the next time, without a page fault', () => {
  takeAndFree();
  const without = faultsOf(takeAndFree);
  expect(without).toBeGreaterThan(blocks);

  expect(keepFreedMemory(blocks * blockBytes * 2, {})).toBe(true);

  takeAndFree();
  expect(faultsOf(takeAndFree)).toBeLessThan(without / 4);
});

test('what glibc was told by a variable of its own stays', () => {
  expect(keepFreedMemory(0, { MALLOC_TRIM_THRESHOLD_: '131072' })).toBe(false);
  expect(keepFreedMemory(0, { GLIBC_TUNABLES: 'glibc.malloc.trim_threshold=131072' })).toBe(false);
});

/** As Node.js does for what it reads. */
function takeAndFree(): void {
  const library = libc();
  if (library === undefined) throw new Error('no FFI here');
  const malloc = library.func('long malloc(size_t size)');
  const memset = library.func('long memset(long memory, int byte, size_t size)');
  const free = library.func('void free(long memory)');
  const taken = Array.from({ length: blocks }, () => malloc(blockBytes));
  for (const memory of taken) memset(memory, 1, blockBytes);
  for (const memory of taken) free(memory);
}

function faultsOf(work: () => void): number {
  const before = process.resourceUsage().minorPageFault;
  work();
  return process.resourceUsage().minorPageFault - before;
}
