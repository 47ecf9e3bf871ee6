/** The snapshot of a unit from its machine and what its runner knows beside it. Pure. */
import { oneLine } from '../error/render.ts';
import type { Moment, UnitSnapshot } from '../unit/state.ts';
import type { Machine } from './machine.ts';

/** What a unit's runs leave to be shown. */
export type RunDetails = Pick<
  UnitSnapshot,
  'stoppedByUser' | 'startedAt' | 'readyAt' | 'exit' | 'status' | 'lastFailure'
>;

/** What of its edges is shown. */
export type EdgeDetails = Pick<UnitSnapshot, 'waitingFor' | 'degraded'>;

/** The details once `machine` has entered its state at `now`: a start begins anew, a failure is kept. */
export function detailsIn({ state, lastError }: Machine, details: RunDetails, now: Moment): RunDetails {
  switch (state.id) {
    case 'starting':
      return { lastFailure: details.lastFailure };
    case 'ready':
    case 'done':
      return { ...details, readyAt: details.readyAt ?? now };
    case 'stopping':
      return state.next === 'retry' && lastError !== undefined
        ? { ...details, lastFailure: { at: now, text: oneLine(lastError) } }
        : details;
    default:
      return details;
  }
}

export interface SnapshotParts {
  readonly unit: string;
  readonly machine: Machine;
  readonly since: Moment;
  readonly details: RunDetails;
  readonly edges: EdgeDetails;
}

export function buildSnapshot({ unit, machine, since, details, edges }: SnapshotParts): UnitSnapshot {
  const { state, desired, generation, restarts, exhausted } = machine;
  const lastError = state.id === 'blocked' ? state.error : machine.lastError;
  const isAtRest = state.id === 'stopped' || state.id === 'inactive';
  const { waitingFor, degraded } = edges;
  const { stoppedByUser, ...ofTheRun } = details;
  const pid = 'pid' in state ? state.pid : undefined;
  const retryAtMs = 'retryAtMs' in state ? state.retryAtMs : undefined;
  return {
    unit,
    state: state.id,
    desired,
    generation,
    since,
    restarts,
    exhausted,
    waitingFor,
    degraded: isAtRest ? [] : degraded,
    ...(stoppedByUser === undefined ? {} : { stoppedByUser }),
    ...(isAtRest ? {} : ofTheRun),
    ...(pid === undefined ? {} : { pid }),
    ...(lastError === undefined ? {} : { lastError }),
    ...(retryAtMs === undefined
      ? {}
      : { nextRetryAt: { monotonicMs: retryAtMs, wallMs: since.wallMs + retryAtMs - since.monotonicMs } }),
  };
}
