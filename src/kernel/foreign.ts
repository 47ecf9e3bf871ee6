/**
 * The C library, for the few things that Node.js cannot do or does dearly: an optional dependency
 * (koffi), loaded when it is first asked for. Whoever uses it has another way where there is none.
 */
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import type koffi from 'koffi';
import { lazily } from './lazily.ts';

export interface ForeignLibrary {
  /** Declares a function by its C prototype. Its result is a number: all of ours return an int or a long. */
  func(prototype: string): (...args: readonly unknown[]) => number;
  /** Where memory of ours lies, for structures that hold a pointer. It has to be kept for as long as the pointer is used. */
  addressOf(memory: Buffer): bigint;
  /** errno of the last call that failed. */
  errno(): number;
}

/** Undefined where there is no FFI for this platform. */
export const libc = lazily(load);

function load(): ForeignLibrary | undefined {
  // The numbers and layouts that its users know are those of Linux.
  if (process.platform !== 'linux') return undefined;
  try {
    const library = binding().load(null);
    return {
      func: (prototype) => library.func(prototype),
      addressOf: (memory) => binding().address(memory),
      errno: () => binding().errno(),
    };
  } catch {
    return undefined;
  }
}

let bound: typeof koffi | undefined;

/** koffi's own loader looks for its binary for 5 ms; where npm puts it, it is found in one. */
function binding(): typeof koffi {
  if (bound !== undefined) return bound;
  const load = createRequire(import.meta.url) as (name: string) => typeof koffi;
  try {
    bound = load(`@koromix/koffi-linux-${process.arch}/linux_${process.arch}/koffi.node`);
  } catch {
    // Another layout, or musl.
    bound = load('koffi');
  }
  return bound;
}

/** "ENOEXEC" of 8. libuv's own table lacks some. */
export function errnoName(errno: number): string {
  return Object.entries(constants.errno).find(([, number]) => number === errno)?.[0] ?? `errno ${String(errno)}`;
}
