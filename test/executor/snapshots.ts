/** Snapshots in a few words, for tests of what reads them. */
import type { UnitSnapshot, UnitStateName } from '../../src/unit/state.ts';

export const moment = { wallMs: 0, monotonicMs: 0 };

export function snapshotOf(
  unit: string,
  state: UnitStateName = 'ready',
  change: Partial<UnitSnapshot> = {},
): UnitSnapshot {
  return {
    unit,
    state,
    desired: 'up',
    generation: 1,
    since: moment,
    restarts: 0,
    exhausted: false,
    waitingFor: [],
    degraded: [],
    ...change,
  };
}
