/**
 * What stands between a unit and its start: a pure look at the snapshots of its dependencies
 * (design contract 1). All gates are looked at together; the first hard failure is reported at once.
 */
import { ReadinessError } from '../error/readiness-error.ts';
import type { Need } from '../unit/schema.ts';
import { isUp, type Degraded, type UnitSnapshot, type WaitingFor } from '../unit/state.ts';

export type Gates =
  | { readonly kind: 'open'; readonly missing: readonly Degraded[] }
  /** `softDeadlineMs`: after so many ms of waiting (counted like `waitedMs`) the soft gates open by themselves. */
  | { readonly kind: 'closed'; readonly waitingFor: readonly WaitingFor[]; readonly softDeadlineMs?: number }
  | { readonly kind: 'blocked'; readonly by: UnitSnapshot; readonly waitingFor: readonly WaitingFor[] };

/** A timer set for a deadline must not find that it is 10⁻¹³ ms too early (sums of floating-point milliseconds). */
const roundingMs = 0.01;

/** @param waitedMs - how long the unit has been waiting, in milliseconds */
export function evaluateGates(
  needs: readonly Need[],
  snapshotOf: (unit: string) => UnitSnapshot,
  waitedMs: number,
): Gates {
  const waitingFor: WaitingFor[] = [];
  const missing: Degraded[] = [];
  let blockedBy: UnitSnapshot | undefined;
  let softDeadlineMs: number | undefined;
  for (const need of needs) {
    if (need.kind === 'parallel' || !isAwaited(need)) continue;
    const target = snapshotOf(need.unit);
    if (hasPassed(need, target)) continue;
    const failed = cannotStart(target);
    if (need.kind === 'soft' && (isAbsent(target) || waitedMs >= need.maxWaitMs - roundingMs)) {
      missing.push(degradedBy(target, 'soft', isAbsent(target) ? describeState(target) : 'not ready in time'));
      continue;
    }
    waitingFor.push({
      unit: need.unit,
      kind: need.kind,
      state: target.state,
      since: target.since,
      ...(target.lastError === undefined ? {} : { lastError: target.lastError }),
    });
    if (need.kind === 'soft') softDeadlineMs = Math.min(softDeadlineMs ?? Number.POSITIVE_INFINITY, need.maxWaitMs);
    else if (failed) blockedBy ??= target;
  }
  if (blockedBy !== undefined) return { kind: 'blocked', by: blockedBy, waitingFor };
  if (waitingFor.length === 0) return { kind: 'open', missing };
  return { kind: 'closed', waitingFor, ...(softDeadlineMs === undefined ? {} : { softDeadlineMs }) };
}

/** A soft edge with `maxWait: 0s` only orders the stop: at the start it is like a parallel one. */
export function isAwaited(need: Need): boolean {
  return need.kind === 'hard' || (need.kind === 'soft' && need.maxWaitMs > 0);
}

function hasPassed(need: Need, target: UnitSnapshot): boolean {
  if (isUp(target.state)) return true;
  if (need.kind !== 'hard' || need.until !== 'started') return false;
  return target.state === 'unhealthy' || (target.state === 'starting' && target.pid !== undefined);
}

/** "Cannot start": the start limit is reached, or something that it needs cannot start. */
export function cannotStart(target: UnitSnapshot): boolean {
  return target.state === 'blocked' || (target.exhausted && !isUp(target.state));
}

/** It will not come by itself: what can do without it need not wait. */
export function isAbsent(target: UnitSnapshot): boolean {
  return cannotStart(target) || target.stoppedByUser === true;
}

/** A dependency that is missing while its dependent runs. */
export function degradedBy(target: UnitSnapshot, kind: 'soft' | 'parallel', reason: string): Degraded {
  return {
    unit: target.unit,
    kind,
    reason,
    ...(target.lastError === undefined ? {} : { cause: target.lastError }),
  };
}

export function describeState(target: UnitSnapshot): string {
  if (target.stoppedByUser === true) return 'stopped by the user';
  return target.state === 'blocked' ? 'blocked' : 'failed';
}

/** The error of a unit that is blocked: its cause is the dependency's error, down to the root. */
export function blockedError(unit: string, generation: number, by: UnitSnapshot, elapsedMs: number): ReadinessError {
  return new ReadinessError(
    'ERR_BLOCKED',
    {
      component: unit,
      generation,
      check: 'gate',
      phase: 'startup',
      reason: by.unit,
      attempts: [],
      attemptCount: 0,
      elapsedMs,
      lastLogLines: [],
    },
    by.lastError === undefined ? undefined : { cause: by.lastError },
  );
}
