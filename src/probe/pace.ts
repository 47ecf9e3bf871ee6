/**
 * The delays between attempts of a start: always exponential with jitter and a cap (demand S5).
 *
 * A check that nothing wakes is noticed late by half its delay. So a cheap local one is asked every
 * few milliseconds while a start is young, and grows on to the general cap when it is not; a check
 * that turns out to be dear is asked less often by itself, because it has to rest as long as it worked.
 */
import { backoffDelayMs, type Backoff } from '../kernel/backoff.ts';
import type { ProbePace } from './probe.ts';

export interface PaceOptions {
  readonly pace: ProbePace | undefined;
  readonly firstMs: number;
  readonly factor: number;
  readonly jitter: number;
  /** The general cap. Source: design.md, Probes: at most 250 ms during a start. */
  readonly capMs: number;
  readonly random: () => number;
}

/** An event-driven check is asked again only in case its event was lost. */
const eventCapMs = 5_000;
/** A check that takes t milliseconds waits at least t before the next, so that it uses half of the time at most. */
const usualRestRatio = 1;
/** After the eager time delays grow slowly, so that a start of 8 s is not noticed 0.2 s late. */
const lateFactor = 1.1;

export interface AttemptFacts {
  /** Number of the failed attempt, from 1. */
  readonly count: number;
  /** Milliseconds since the first attempt began. */
  readonly elapsedMs: number;
  /** How long the failed attempt took, in milliseconds. */
  readonly tookMs: number;
  /** Its probe will hint when what is missing comes. */
  readonly isWatched?: boolean;
}

/** Gives the delay in milliseconds after each failed attempt. */
export function pacer(options: PaceOptions): (facts: AttemptFacts) => number {
  const { pace, firstMs, factor, jitter, capMs, random } = options;
  const general: Backoff = { firstMs, factor, jitter, maxMs: pace?.kind === 'event' ? eventCapMs : capMs };
  if (pace?.kind !== 'eager') {
    return ({ count, tookMs }) =>
      Math.max(backoffDelayMs(general, count, random), Math.min(tookMs * usualRestRatio, capMs));
  }
  const eagerCapMs = Math.min(pace.capMs, capMs);
  const eager: Backoff = { ...general, firstMs: Math.min(firstMs, eagerCapMs), maxMs: eagerCapMs };
  const late: Backoff = { firstMs: eagerCapMs, factor: lateFactor, jitter, maxMs: capMs };
  const { restRatio = usualRestRatio, lateShare = 0 } = pace;
  let eagerAttempts = 0;
  return ({ count, elapsedMs, tookMs, isWatched }) => {
    if (isWatched === true) return backoffDelayMs(general, count, random);
    if (elapsedMs < pace.forMs) eagerAttempts = count;
    const delayMs =
      elapsedMs < pace.forMs
        ? backoffDelayMs(eager, count, random)
        : backoffDelayMs(late, count - eagerAttempts, random);
    return Math.max(
      delayMs,
      Math.min(Math.max(tookMs * restRatio, elapsedMs * lateShare * (1 - jitter * random())), capMs),
    );
  };
}
