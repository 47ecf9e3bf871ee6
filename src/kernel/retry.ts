/**
 * Tries something again until it succeeds, waiting between attempts with exponential backoff; a
 * hint ends the present wait at once. The only user of p-retry, which counts and orders attempts.
 *
 * p-retry's own timer cannot be woken and only lengthens, so its delays are all 0 and the wait is
 * inside the awaited `onFailedAttempt`. It also refuses to retry a `TypeError` that is not a
 * network error and turns thrown values that are no errors into one: every failure therefore goes
 * through it in a wrapper and comes out as it was.
 */
import pRetry from 'p-retry';
import { abortable, abortError } from './abort.ts';
import { backoffDelayMs, type Backoff } from './backoff.ts';
import type { Clock } from './clock.ts';
import { wakeablePause } from './wakeable-pause.ts';

export interface RetryOptions<T> {
  /** One attempt, counted from 1. It should end when `signal` aborts; it is not waited for if it does not. */
  readonly attempt: (count: number, signal: AbortSignal) => Promise<T>;
  /** Delays between attempts, or a function that gives the delay in milliseconds before retry number n (from 1). */
  readonly backoff: Backoff | ((retry: number) => number);
  readonly clock: Clock;
  /** Returns [0, 1): jitter. */
  readonly random: () => number;
  readonly signal: AbortSignal;
  /** Subscribes to whatever makes a new attempt worth while; hints during an attempt lead to exactly one more. */
  readonly onHint?: (wake: () => void) => Disposable;
  /** False ends the retries with this failure (default: retry everything, for ever). */
  readonly shouldRetry?: (failure: unknown, count: number) => boolean;
}

/**
 * Resolves with the first attempt that succeeds.
 *
 * @throws the bare failure that `shouldRetry` refused; the reason of `signal` as soon as it aborts.
 *   No timer and no listener is left behind.
 */
export async function retryUntil<T>(options: RetryOptions<T>): Promise<T> {
  const { attempt, backoff, clock, random, signal, onHint, shouldRetry } = options;
  if (signal.aborted) throw abortError(signal);
  const delayMs = typeof backoff === 'function' ? backoff : (retry: number) => backoffDelayMs(backoff, retry, random);
  const pause = wakeablePause(clock, signal);
  const hints = onHint?.(pause.wake);
  try {
    return await pRetry(
      async (count) => {
        if (signal.aborted) throw new Failed(abortError(signal));
        pause.forgetHints();
        try {
          return await abortable(attempt(count, signal), signal);
        } catch (failure) {
          throw new Failed(failure);
        }
      },
      {
        retries: Number.POSITIVE_INFINITY,
        minTimeout: 0,
        maxTimeout: 0,
        factor: 1,
        randomize: false,
        onFailedAttempt: async ({ error, attemptNumber }) => {
          if (signal.aborted) throw new Failed(abortError(signal));
          if (shouldRetry?.(failureOf(error), attemptNumber) === false) throw error;
          await pause.wait(delayMs(attemptNumber));
        },
      },
    );
  } catch (error) {
    throw failureOf(error);
  } finally {
    hints?.[Symbol.dispose]();
  }
}

/** Carries any thrown value through p-retry unchanged. No stack: it is made for each failed attempt and never shown. */
class Failed extends Error {
  readonly failure: unknown;
  constructor(failure: unknown) {
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super('attempt failed');
    Error.stackTraceLimit = stackTraceLimit;
    this.failure = failure;
  }
}

const failureOf = (error: unknown): unknown => (error instanceof Failed ? error.failure : error);
