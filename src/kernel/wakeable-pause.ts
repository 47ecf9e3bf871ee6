/** Waits that a hint can end early: what a loop does between two looks at something that may also tell by itself. */
import { abortError, onAbort } from './abort.ts';
import type { Clock } from './clock.ts';

export interface WakeablePause {
  /** A hint. */
  readonly wake: () => void;
  /** Hints given so far no longer count. */
  readonly forgetHints: () => void;
  /**
   * Ends after `delayMs` or at a hint, also at one that came before.
   *
   * @returns whether a hint ended it
   * @throws the reason of the signal as soon as it aborts; no timer or listener is left behind
   */
  readonly wait: (delayMs: number) => Promise<boolean>;
}

export function wakeablePause(clock: Clock, signal: AbortSignal): WakeablePause {
  let hinted = false;
  let endWait: (() => void) | undefined;
  return {
    wake: () => {
      hinted = true;
      endWait?.();
    },
    forgetHints: () => {
      hinted = false;
    },
    wait: (delayMs) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) {
          reject(abortError(signal));
          return;
        }
        if (hinted) {
          resolve(true);
          return;
        }
        const end = () => {
          endWait = undefined;
          timer[Symbol.dispose]();
          abort[Symbol.dispose]();
          resolve(hinted);
        };
        const timer = clock.timer(delayMs, end);
        const abort = onAbort(signal, () => {
          endWait = undefined;
          timer[Symbol.dispose]();
          reject(abortError(signal));
        });
        endWait = end;
      }),
  };
}
