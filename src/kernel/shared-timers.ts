/**
 * One timer of the system for a crowd of them. Of thousands in a second nearly all are disposed of before they are
 * due, and setting and clearing each at the system costs as much as a system call; here it is a place in a queue.
 *
 * There is a queue for each delay, as Node.js itself has it: who was asked for first is due first, so nobody has to
 * be put between others. Delays are few in a crowd, and whole milliseconds, rounded up: the system would cut a
 * fraction off and come too early.
 */
import type { Clock } from './clock.ts';

/** A class, as an object with a symbol for a name takes V8 microseconds to make. */
class Entry implements Disposable {
  readonly dueMs: number;
  readonly order: number;
  readonly #onDisposed: () => void;
  #fire: (() => void) | undefined;

  constructor(dueMs: number, order: number, fire: () => void, onDisposed: () => void) {
    this.dueMs = dueMs;
    this.order = order;
    this.#fire = fire;
    this.#onDisposed = onDisposed;
  }

  get isAlive(): boolean {
    return this.#fire !== undefined;
  }

  /** Undefined if it has been disposed of, or taken before. */
  take(): (() => void) | undefined {
    const fire = this.#fire;
    this.#fire = undefined;
    return fire;
  }

  [Symbol.dispose](): void {
    if (this.take() !== undefined) this.#onDisposed();
  }
}

/** A clock whose timers share one of `clock`. What is disposed of lets go of its function at once. */
export function sharedTimers(clock: Clock): Clock {
  const queues = new Map<number, Queue>();
  /** Were due, but one before them threw. */
  let overdue: readonly Entry[] = [];
  let asked = 0;
  let alive = 0;
  let isFiring = false;
  let armed: { readonly dueMs: number; readonly timer: Disposable } | undefined;

  const disarm = () => {
    armed?.timer[Symbol.dispose]();
    armed = undefined;
  };
  const armFor = (dueMs: number) => {
    if (isFiring || (armed !== undefined && armed.dueMs <= dueMs)) return;
    disarm();
    armed = { dueMs, timer: clock.timer(Math.ceil(Math.max(0, dueMs - clock.monotonicMs())), onDue) };
  };
  const armForFirst = () => {
    let firstMs = overdue[0]?.dueMs ?? Number.POSITIVE_INFINITY;
    for (const [delayMs, queue] of queues) {
      const { first } = queue;
      if (first === undefined) queues.delete(delayMs);
      else firstMs = Math.min(firstMs, first.dueMs);
    }
    if (Number.isFinite(firstMs)) armFor(firstMs);
  };
  const onDue = () => {
    armed = undefined;
    isFiring = true;
    const nowMs = clock.monotonicMs();
    const due = [...overdue];
    for (const queue of queues.values()) queue.takeDue(nowMs, due);
    due.sort((one, other) => one.dueMs - other.dueMs || one.order - other.order);
    let next = 0;
    try {
      for (const entry of due) {
        next += 1;
        const fire = entry.take();
        if (fire === undefined) continue;
        alive -= 1;
        fire();
      }
    } finally {
      isFiring = false;
      overdue = due.slice(next);
      armForFirst();
    }
  };
  const onDisposed = () => {
    alive -= 1;
    if (alive > 0) return;
    // Nobody waits: nothing is left that would keep the event loop.
    queues.clear();
    overdue = [];
    disarm();
  };

  return {
    ...clock,
    timer(delayMs, fire) {
      const wholeMs = Math.ceil(Math.max(0, delayMs));
      const entry = new Entry(clock.monotonicMs() + wholeMs, (asked += 1), fire, onDisposed);
      let queue = queues.get(wholeMs);
      if (queue === undefined) queues.set(wholeMs, (queue = new Queue()));
      queue.push(entry);
      alive += 1;
      armFor(entry.dueMs);
      return entry;
    },
  };
}

/** Past entries that are dropped at once; moving those that remain is worth it then. */
const mostPast = 1024;

class Queue {
  readonly #entries: Entry[] = [];
  /** What is before it is past. */
  #from = 0;

  push(entry: Entry): void {
    this.#entries.push(entry);
  }

  /** That has not been disposed of. */
  get first(): Entry | undefined {
    while (this.#from < this.#entries.length && this.#entries[this.#from]?.isAlive === false) this.#from += 1;
    if (this.#from >= mostPast || this.#from === this.#entries.length) {
      this.#entries.splice(0, this.#from);
      this.#from = 0;
    }
    return this.#entries[this.#from];
  }

  /** Moves all that are due into a list. */
  takeDue(nowMs: number, into: Entry[]): void {
    for (let { first } = this; first !== undefined && first.dueMs <= nowMs; { first } = this) {
      into.push(first);
      this.#from += 1;
    }
  }
}
