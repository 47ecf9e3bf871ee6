/** What is known of a unit at a moment: the states of design contract 2 and the snapshot that everybody reads. */
import type { Exit, ReadinessError } from '../error/readiness-error.ts';
import type { EdgeKind } from './schema.ts';

export const unitStates = [
  'inactive',
  'waiting',
  'blocked',
  'starting',
  'ready',
  'unhealthy',
  'done',
  'backoff',
  'failed',
  'stopping',
  'stopped',
] as const;
export type UnitStateName = (typeof unitStates)[number];

/** States in which a unit's hard dependents may start. */
export function isUp(state: UnitStateName): boolean {
  return state === 'ready' || state === 'done';
}

/** A moment on both clocks, in milliseconds. */
export interface Moment {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

/** One gate that is not open yet. */
export interface WaitingFor {
  readonly unit: string;
  readonly kind: EdgeKind;
  readonly state: UnitStateName;
  readonly since: Moment;
  /** Last error of the unit waited for, if it has one. */
  readonly lastError?: ReadinessError;
}

/** A soft or parallel dependency that was absent when this unit started, and why. */
export interface Degraded {
  readonly unit: string;
  readonly kind: 'soft' | 'parallel';
  readonly reason: string;
  readonly cause?: ReadinessError;
}

export interface UnitSnapshot {
  readonly unit: string;
  readonly state: UnitStateName;
  readonly desired: 'up' | 'down';
  /** The user stopped it: it stays down until somebody starts it again, whatever its dependencies do. */
  readonly stoppedByUser?: true | undefined;
  /** Number of the present or last run, from 1; 0 before the first. */
  readonly generation: number;
  /** When the present state was entered. */
  readonly since: Moment;
  /** When the present generation's process was spawned. */
  readonly startedAt?: Moment;
  /** When the present generation became ready. */
  readonly readyAt?: Moment;
  readonly pid?: number;
  readonly exit?: Exit;
  readonly restarts: number;
  /** Empty unless state is waiting or blocked. */
  readonly waitingFor: readonly WaitingFor[];
  /** Not empty: started (or waiting to) without these; clears when they become ready. */
  readonly degraded: readonly Degraded[];
  readonly lastError?: ReadinessError;
  /** How and when a run failed last, in a line; kept when the unit is ready again. */
  readonly lastFailure?: { readonly at: Moment; readonly text: string } | undefined;
  /** In backoff and failed: when the next start is tried. */
  readonly nextRetryAt?: Moment;
  /** The start limit is reached and it has not been ready since: hard dependents are blocked. */
  readonly exhausted: boolean;
  /** What the process says of itself (sd_notify STATUS=). */
  readonly status?: string;
}
