/** Delays that are drawn, as pure functions: no clock, injected randomness. */

/** `delayMs × (1 ± share)`, so that what began together does not go on together. `random` returns [0, 1). */
export function jitteredMs(delayMs: number, share: number, random: () => number): number {
  return delayMs * (1 + share * (2 * random() - 1));
}

/** Exponential, with jitter and a cap. */
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
  return Math.min(jitteredMs(delayMs, backoff.jitter, random), backoff.maxMs);
}
