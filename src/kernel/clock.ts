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
  /** As `soon`, for what somebody else should not wait for: after all of `soon`, unless that goes on for many turns. */
  later(run: () => void): Disposable;
}

/** How many turns of `soon` what is for later lets pass. */
const patientTurns = 8;
/** Asked for by `soon` and not run yet. */
let waiting = 0;

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
    let isWaiting = true;
    waiting += 1;
    const end = () => {
      if (isWaiting) waiting -= 1;
      isWaiting = false;
    };
    const handle = setImmediate(() => {
      end();
      run();
    });
    return {
      [Symbol.dispose]: () => {
        clearImmediate(handle);
        end();
      },
    };
  },
  later(run) {
    let turns = 0;
    const look = () => {
      turns += 1;
      if (waiting > 0 && turns <= patientTurns) handle = setImmediate(look);
      else run();
    };
    let handle = setImmediate(look);
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
