/**
 * When a failed renewal is tried again (demand V8): exponential backoff with full jitter, and never
 * beyond the time at which a withdrawal has to begin. Pure.
 */
import { shortestCallMs } from './timing.ts';

/** Full jitter over 50, 100, 200, 400, 800 ms. */
export const retryBackoff = { firstMs: 50, factor: 2, maxMs: 800 } as const;

export interface RetryQuestion {
  readonly nowMs: number;
  /** From here on nothing is tried any more. */
  readonly giveUpAtMs: number;
  /** Attempts so far, from 1. */
  readonly attempts: number;
  readonly callMs: number;
  /** What the server wished (429, 503). */
  readonly retryAfterMs?: number | undefined;
  readonly random: () => number;
}

/** @returns when to try again, or undefined when no call would end in time */
export function nextTryAt(question: RetryQuestion): number | undefined {
  const { nowMs, giveUpAtMs, attempts, retryAfterMs = 0, random } = question;
  const ceilingMs = Math.min(
    retryBackoff.firstMs * retryBackoff.factor ** Math.min(attempts - 1, 16),
    retryBackoff.maxMs,
  );
  const latestMs = giveUpAtMs - shortestCallMs;
  if (latestMs <= nowMs) return undefined;
  // A pause that is too long is shortened: the last chance is not slept through.
  return Math.min(nowMs + Math.max(random() * ceilingMs, retryAfterMs), latestMs);
}

/** Limit of a call that is made now. */
export const callLimitMs = ({
  nowMs,
  giveUpAtMs,
  callMs,
}: Pick<RetryQuestion, 'nowMs' | 'giveUpAtMs' | 'callMs'>): number => Math.max(Math.min(callMs, giveUpAtMs - nowMs), 1);
