/** The snapshot of a unit from its machine and what its runner knows beside it. Pure. */
import type { Moment, UnitSnapshot } from '../unit/state.ts';
import type { Machine } from './unit-machine.ts';

export type SnapshotDetails = Pick<
  UnitSnapshot,
  'waitingFor' | 'degraded' | 'stoppedByUser' | 'startedAt' | 'readyAt' | 'exit' | 'status' | 'lastFailure'
>;

export function buildSnapshot(unit: string, machine: Machine, since: Moment, details: SnapshotDetails): UnitSnapshot {
  const { state, desired, generation, restarts, exhausted } = machine;
  const lastError = state.id === 'blocked' ? state.error : machine.lastError;
  const isAtRest = state.id === 'stopped' || state.id === 'inactive';
  const { waitingFor, degraded, stoppedByUser, ...ofTheRun } = details;
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
