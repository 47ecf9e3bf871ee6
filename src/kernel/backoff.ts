/** Exponential backoff with jitter and a cap, as a pure function: no clock, injected randomness. */

export interface Backoff {
  readonly firstMs: number;
  readonly factor: number;
  readonly maxMs: number;
  /** Share of the delay that is random, 0 to 1: the result lies in `delay × (1 ± jitter)`, capped at `maxMs`. */
  readonly jitter: number;
}

/** The delay in milliseconds before retry number `retry` (from 1). `random` returns [0, 1). */
export function backoffDelayMs(backoff: Backoff, retry: number, random: () => number): number {
  // The exponent is bounded because 2 ** 1024 is Infinity, and Infinity × 0 jitter would be NaN.
  const grown = backoff.firstMs * backoff.factor ** Math.min(Math.max(retry - 1, 0), 64);
  const delayMs = Math.min(grown, backoff.maxMs);
  const spread = 1 + backoff.jitter * (2 * random() - 1);
  return Math.min(delayMs * spread, backoff.maxMs);
}
