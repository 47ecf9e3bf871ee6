/**
 * Spawning blocks the event loop for about a millisecond each, so starts that become possible
 * together are queued: the longest tail first, a few per turn, and the loop breathes in between
 * (readiness messages of what was just started are read before the next batch).
 */
import type { Clock } from '../kernel/clock.ts';

/** How long one turn may spend starting, in milliseconds. */
const sliceMs = 4;

export interface StartQueue {
  /** Calls `start` in a later turn; a higher `priority` goes first. Disposing takes it out. */
  add(priority: number, start: () => void): Disposable;
  /** Does not wait for that turn: for when all that can be started together has been added. */
  begin(): void;
  /** How many wait for their turn. */
  readonly length: number;
}

export function createStartQueue(clock: Clock): StartQueue {
  const entries: { readonly priority: number; readonly start: () => void }[] = [];
  let turn: Disposable | undefined;

  const drain = () => {
    // What is begun before its turn takes that one's place: a slice for each turn.
    turn?.[Symbol.dispose]();
    turn = undefined;
    if (entries.length === 0) return;
    const untilMs = clock.monotonicMs() + sliceMs;
    do {
      entries.shift()?.start();
    } while (entries.length > 0 && clock.monotonicMs() < untilMs);
    schedule();
  };
  const schedule = () => {
    if (turn === undefined && entries.length > 0) turn = clock.soon(drain);
  };

  return {
    get length() {
      return entries.length;
    },
    begin: drain,
    add(priority, start) {
      const entry = { priority, start };
      const before = entries.findIndex((other) => other.priority < priority);
      entries.splice(before === -1 ? entries.length : before, 0, entry);
      schedule();
      return {
        [Symbol.dispose]: () => {
          const index = entries.indexOf(entry);
          if (index !== -1) entries.splice(index, 1);
        },
      };
    },
  };
}
