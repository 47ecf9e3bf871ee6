/**
 * Getting a Lease that is not ours: when it is free, what is written to get it, and when a try that failed is followed
 * by another. Verbs of a step of the Lease machine (lease-machine).
 */
import type { Verdict } from './error-class.ts';
import { withCall } from './lease-cycle.ts';
import type { Call, LeaseRecord } from './lease-model.ts';
import type { LeaseTransition } from './lease-transition.ts';
import { retryBackoff } from './retry-budget.ts';

/** Tries of a Lease that is not ours are this far apart while the API fails, at most. */
const slowestTryMs = 5000;
/**
 * And at most this share of the Lease, and no rarer than a renewal (so an outage costs the API no more than it does
 * without): what all have given up in an outage is back within one Lease after it.
 */
const slowestTryShare = 0.5;

/** Takes what is free; else waits until it is. */
export function seize(transition: LeaseTransition, record: LeaseRecord | undefined): void {
  const { state, nowMs, rules } = transition;
  if (state.id !== 'released') return;
  if (!transition.isWanted) {
    transition.restIfIdle();
    return;
  }
  const freeAtMs = freeAt(transition, record);
  if (freeAtMs > nowMs) {
    transition.state = { ...state, failures: 0, nextAtMs: freeAtMs };
    return;
  }
  const call = transition.call('write');
  const { cycle } = state;
  transition.state = { ...state, call, cycle: { ...cycle, unclear: withCall(cycle, call) } };
  const isChange = record !== undefined && record.holder !== rules.identity;
  transition.send(call, {
    version: record?.version,
    transitions: (record?.transitions ?? 0) + (isChange ? 1 : 0),
  });
}

/** A try to get it has failed; nothing is lost by waiting. */
export function postpone(transition: LeaseTransition, verdict: Verdict, call: Call): void {
  const { state, nowMs, rules, random } = transition;
  if (state.id !== 'released') return;
  const failures = state.failures + 1;
  const unclear = new Map(state.cycle.unclear);
  if (verdict.class !== 'ambiguous' && call.kind === 'write') unclear.delete(call.nonce);
  const { isConflict } = verdict;
  const { leaseDurationMs, retryPeriodMs } = rules.timing;
  const slowestMs = Math.min(slowestTryMs, slowestTryShare * leaseDurationMs, retryPeriodMs);
  const grownMs = Math.min(retryBackoff.firstMs * retryBackoff.factor ** Math.min(failures - 1, 16), slowestMs);
  const inMs = isConflict ? 0 : Math.max(grownMs * (0.5 + random() / 2), verdict.retryAfterMs ?? 0);
  transition.state = { ...state, failures, nextAtMs: nowMs + inMs, cycle: { ...state.cycle, unclear } };
  if (!isConflict) transition.tellRetry(verdict, failures, inMs, Number.POSITIVE_INFINITY);
  transition.restIfIdle();
}

/** It is wanted from now on: not before those who go first have had their time. */
export function yieldFirst(transition: LeaseTransition): void {
  if (transition.rules.yieldMs !== undefined) hurryIfFree(transition);
}

/** A watch shows that it is free, or will be: no poll is waited for. */
export function hurryIfFree(transition: LeaseTransition): void {
  const { state } = transition;
  if (state.id !== 'released' || state.failures > 0 || state.call !== undefined) return;
  const freeAtMs = freeAt(transition, transition.seen?.record);
  const isKept = freeAtMs < state.nextAtMs && transition.wasReleased;
  if (isKept || freeAtMs > state.nextAtMs) transition.state = { ...state, nextAtMs: freeAtMs };
}

/** When a Lease that is not ours may be taken: at once, or when it has not changed for as long as it promises. */
function freeAt({ rules, seen, nowMs }: LeaseTransition, record: LeaseRecord | undefined): number {
  const { identity, ownEarlier, timing, isWatched } = rules;
  if (record !== undefined && (record.holder === identity || ownEarlier.has(record.holder))) return 0;
  const yieldMs = rules.yieldMs?.() ?? 0;
  const sinceMs = seen?.changedAtMs ?? nowMs;
  if (record === undefined || record.holder === '') return yieldMs === 0 ? 0 : sinceMs + yieldMs;
  const freeAtMs = sinceMs + record.durationMs + timing.graceMs + yieldMs;
  return isWatched || freeAtMs <= nowMs ? freeAtMs : Math.min(freeAtMs, nowMs + timing.retryPeriodMs);
}
