/**
 * Time as a port: everything in src/ that waits or measures takes a `Clock`.
 *
 * Elapsed time is always monotonic; wall time is only for people. `systemClock` reads the timers
 * from `globalThis` at each call, so that a test's fake timers move it too (they cannot move
 * `node:timers/promises` nor `AbortSignal.timeout`, which lint therefore bans in src/).
 */
import { abortError, onAbort } from './abort.ts';

/** Node.js fires a longer timer after 1 ms; delays are capped at this. Source: Node.js `setTimeout` documentation. */
export const maxTimerMs = 2 ** 31 - 1;

export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. */
  monotonicMs(): number;
  /** Milliseconds since the Unix epoch; may jump. */
  wallMs(): number;
  /** Calls `fire` once after `delayMs`; disposing cancels it. */
  timer(delayMs: number, fire: () => void): Disposable;
  /** Calls `run` in a later turn of the event loop, after pending input and output. */
  soon(run: () => void): Disposable;
}

export const systemClock: Clock = {
  // Not `performance.now()`: its first call loads a dozen modules of Node.js, on the way to the first unit.
  monotonicMs() {
    const [seconds, nanoseconds] = process.hrtime();
    return seconds * 1e3 + nanoseconds / 1e6;
  },
  wallMs: () => Date.now(),
  timer(delayMs, fire) {
    const handle = setTimeout(fire, Math.min(Math.max(delayMs, 0), maxTimerMs));
    return {
      [Symbol.dispose]: () => {
        clearTimeout(handle);
      },
    };
  },
  soon(run) {
    const handle = setImmediate(run);
    return {
      [Symbol.dispose]: () => {
        clearImmediate(handle);
      },
    };
  },
};

/**
 * Resolves after `delayMs` milliseconds of `clock`.
 *
 * @throws the reason of `signal` as soon as it aborts; no timer or listener is left behind
 */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(abortError(signal));
      return;
    }
    const timer = clock.timer(delayMs, () => {
      listener?.[Symbol.dispose]();
      resolve();
    });
    const listener =
      signal &&
      onAbort(signal, () => {
        timer[Symbol.dispose]();
        reject(abortError(signal));
      });
  });
}
