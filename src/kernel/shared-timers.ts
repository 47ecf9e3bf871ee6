/**
 * One timer of the system for a crowd of them. Of thousands in a second nearly all are disposed of before they are
 * due, and setting and clearing each at the system costs as much as a system call; here it is a place in a list.
 */
import type { Clock } from './clock.ts';

interface Entry {
  readonly dueMs: number;
  /** Undefined once it has been disposed of or called. */
  fire: (() => void) | undefined;
}

/** A clock whose timers share one of `clock`. What is disposed of lets go of its function at once. */
export function sharedTimers(clock: Clock): Clock {
  /** The soonest first; of two that are due together, the one that was asked for first. */
  const entries: Entry[] = [];
  let alive = 0;
  let isFiring = false;
  let armed: { readonly dueMs: number; readonly timer: Disposable } | undefined;

  const disarm = () => {
    armed?.timer[Symbol.dispose]();
    armed = undefined;
  };
  const arm = () => {
    const [first] = entries;
    if (isFiring || first === undefined || (armed !== undefined && armed.dueMs <= first.dueMs)) return;
    disarm();
    // Rounded up, as a fraction of a millisecond would be cut off and the timer come too early.
    const delayMs = Math.ceil(Math.max(0, first.dueMs - clock.monotonicMs()));
    armed = { dueMs: first.dueMs, timer: clock.timer(delayMs, onDue) };
  };
  const onDue = () => {
    armed = undefined;
    isFiring = true;
    // Taken out together: one after the other would move all that remain for each.
    const due = entries.splice(0, placeAfter(entries, clock.monotonicMs()));
    let next = 0;
    try {
      for (const entry of due) {
        next += 1;
        take(entry)?.();
      }
    } finally {
      isFiring = false;
      // If one threw, the others are still to come.
      if (next < due.length) entries.unshift(...due.slice(next));
      const firstAlive = entries.findIndex(({ fire }) => fire !== undefined);
      entries.splice(0, firstAlive === -1 ? entries.length : firstAlive);
      arm();
    }
  };
  const take = (entry: Entry) => {
    const { fire } = entry;
    if (fire === undefined) return undefined;
    entry.fire = undefined;
    alive -= 1;
    return fire;
  };

  return {
    ...clock,
    timer(delayMs, fire) {
      const entry: Entry = { dueMs: clock.monotonicMs() + Math.max(0, delayMs), fire };
      entries.splice(placeAfter(entries, entry.dueMs), 0, entry);
      alive += 1;
      arm();
      return {
        [Symbol.dispose]() {
          take(entry);
          if (alive > 0) return;
          // Nobody waits: nothing is left that would keep the event loop.
          entries.length = 0;
          disarm();
        },
      };
    },
  };
}

/** Behind all that are due no later. */
function placeAfter(entries: readonly Entry[], dueMs: number): number {
  let from = 0;
  let to = entries.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((entries[middle] as Entry).dueMs <= dueMs) from = middle + 1;
    else to = middle;
  }
  return from;
}
