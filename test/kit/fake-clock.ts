/**
 * A `Clock` that only moves when told to: time is a number, timers are a heap.
 *
 * Timers fire in order of their due time, then of their creation, and between any two of them all
 * microtasks and all `soon` and `later` callbacks run, as they do on the real event loop. So promise chains
 * (p-retry among them) are settled before the next timer fires, and a run with the same inputs is
 * the same run. Nothing global is replaced: real sockets and real timers go on beside it.
 */
import type { Clock } from '../../src/kernel/clock.ts';

export interface FakeClock extends Clock {
  /** Lets `durationMs` pass, firing what falls due on the way; resolves when all of it has settled. */
  advance(durationMs: number): Promise<void>;
  /** Runs microtasks, `soon` and `later` callbacks until none is left; time stands still. */
  settle(): Promise<void>;
  /** Jumps to the next timer and fires it; false when there is none. */
  step(): Promise<boolean>;
  /**
   * Steps until `done` settles and returns its value.
   *
   * @throws what `done` throws; an Error when `limitMs` would be passed or nothing is left to fire
   */
  run<T>(done: Promise<T>, limitMs?: number): Promise<T>;
  /** Moves wall time alone, as a correction of the system's clock does. */
  shiftWall(byMs: number): void;
  /** Timers that are set and have not fired. */
  readonly pendingTimers: number;
  /** Milliseconds until the next timer, or undefined when there is none. */
  readonly nextTimerInMs: number | undefined;
}

interface Turn {
  readonly run: () => void;
  cancelled: boolean;
}

function inTurn(turn: Turn[], run: () => void): Disposable {
  const entry = { run, cancelled: false };
  turn.push(entry);
  return { [Symbol.dispose]: () => void (entry.cancelled = true) };
}

interface Timer {
  readonly atMs: number;
  readonly order: number;
  readonly fire: () => void;
  cancelled: boolean;
}

/** More turns without time passing than any sane program makes: a loop that feeds itself. */
const maxTurns = 100_000;

// Taken at import, so that a test which also installs vitest's timers does not stop this clock.
const realImmediate = setImmediate;
const nextTurn = () => new Promise<void>((resolve) => void realImmediate(resolve));

/** @param startWallMs - wall time at the start (default: 2026-01-01T00:00:00Z); monotonic time starts at 0 */
export function fakeClock(startWallMs = Date.UTC(2026, 0, 1)): FakeClock {
  let nowMs = 0;
  let wallOffsetMs = startWallMs;
  let order = 0;
  let pendingTimers = 0;
  const timers = heap();
  let soon: Turn[] = [];
  let later: Turn[] = [];

  const settle = async () => {
    for (let turn = 0; turn < maxTurns; turn += 1) {
      await nextTurn();
      // As on the real one: what is for later comes after all that is for soon.
      const due = soon.length > 0 ? soon : later;
      if (due.length === 0) return;
      if (due === soon) soon = [];
      else later = [];
      for (const entry of due) if (!entry.cancelled) entry.run();
    }
    throw new Error(`fake clock: still busy after ${String(maxTurns)} turns without time passing`);
  };

  const fireNext = async () => {
    const timer = timers.pop();
    if (timer === undefined) return;
    pendingTimers -= 1;
    nowMs = Math.max(nowMs, timer.atMs);
    timer.fire();
    await settle();
  };

  return {
    monotonicMs: () => nowMs,
    wallMs: () => wallOffsetMs + nowMs,
    timer(delayMs, fire) {
      const timer: Timer = { atMs: nowMs + Math.max(delayMs, 0), order: order++, fire, cancelled: false };
      timers.push(timer);
      pendingTimers += 1;
      let open = true;
      return {
        [Symbol.dispose]: () => {
          if (!open) return;
          open = false;
          if (timers.has(timer) && !timer.cancelled) pendingTimers -= 1;
          timer.cancelled = true;
        },
      };
    },
    soon: (run) => inTurn(soon, run),
    later: (run) => inTurn(later, run),
    async advance(durationMs) {
      const untilMs = nowMs + durationMs;
      await settle();
      for (let next = timers.peek(); next !== undefined && next.atMs <= untilMs; next = timers.peek()) {
        await fireNext();
      }
      nowMs = Math.max(nowMs, untilMs);
    },
    settle,
    async step() {
      await settle();
      if (timers.peek() === undefined) return false;
      await fireNext();
      return true;
    },
    async run(done, limitMs = Number.POSITIVE_INFINITY) {
      const untilMs = nowMs + limitMs;
      let settled = false;
      const mark = () => void (settled = true);
      done.then(mark, mark);
      await settle();
      // `settled` changes in the callbacks above, which the compiler does not see.
      while (!(settled as boolean)) {
        const next = timers.peek();
        if (next === undefined) throw new Error(`fake clock: nothing left to fire at ${String(nowMs)} ms`);
        if (next.atMs > untilMs) throw new Error(`fake clock: not settled within ${String(limitMs)} ms`);
        await fireNext();
      }
      return done;
    },
    shiftWall(byMs) {
      wallOffsetMs += byMs;
    },
    get pendingTimers() {
      return pendingTimers;
    },
    get nextTimerInMs() {
      const next = timers.peek();
      return next && next.atMs - nowMs;
    },
  };
}

/** A binary heap of timers, earliest first; cancelled ones are dropped when they reach the top. */
function heap() {
  const items: Timer[] = [];
  const inside = new Set<Timer>();
  const before = (a: Timer, b: Timer) => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
  const at = (index: number) => items[index] as Timer;
  const swap = (a: number, b: number) => {
    [items[a], items[b]] = [at(b), at(a)];
  };

  const remove = (): Timer => {
    const top = at(0);
    const last = items.pop() as Timer;
    inside.delete(top);
    if (items.length > 0) {
      items[0] = last;
      for (let parent = 0; ;) {
        const left = 2 * parent + 1;
        if (left >= items.length) break;
        const least = left + 1 < items.length && before(at(left + 1), at(left)) ? left + 1 : left;
        if (!before(at(least), at(parent))) break;
        swap(least, parent);
        parent = least;
      }
    }
    return top;
  };

  const peek = (): Timer | undefined => {
    while (items[0]?.cancelled === true) remove();
    return items[0];
  };

  return {
    peek,
    has: (timer: Timer) => inside.has(timer),
    pop: (): Timer | undefined => (peek() === undefined ? undefined : remove()),
    push(timer: Timer) {
      items.push(timer);
      inside.add(timer);
      for (let child = items.length - 1; child > 0;) {
        const parent = (child - 1) >> 1;
        if (!before(at(child), at(parent))) break;
        swap(child, parent);
        child = parent;
      }
    },
  };
}
