/**
 * The words of the unit machine: what a unit is in, what can happen to it, and what is to be done
 * about it. Not here: what leads where (unit-machine).
 */
import type { ReadinessError } from '../error/readiness-error.ts';
import type { Backoff } from '../kernel/backoff.ts';

export type MachineState =
  | { readonly id: 'inactive' | 'waiting' | 'done' | 'stopped' }
  | { readonly id: 'blocked'; readonly error: ReadinessError }
  | { readonly id: 'starting'; readonly pid?: number }
  | { readonly id: 'ready'; readonly pid?: number; readonly sinceMs: number }
  | { readonly id: 'unhealthy'; readonly pid?: number; readonly sinceMs: number; readonly error: ReadinessError }
  | { readonly id: 'backoff'; readonly retryAtMs: number; readonly error: ReadinessError }
  | { readonly id: 'failed'; readonly retryAtMs?: number; readonly error: ReadinessError }
  /** `next`: where it goes when the generation is gone; `undoing`: the processes are gone, `undo` runs. */
  | { readonly id: 'stopping'; readonly next: 'down' | 'restart' | 'retry'; readonly undoing: boolean };

export interface Machine {
  readonly state: MachineState;
  readonly desired: 'up' | 'down';
  readonly generation: number;
  /** Failed starts in a row without having been ready in between. */
  readonly failedStarts: number;
  /** When the unit failed after having been ready (monotonic ms), within `limit.withinMs`. */
  readonly failuresMs: readonly number[];
  /** Failures since the last quiet spell: the exponent of the backoff. */
  readonly retries: number;
  readonly restarts: number;
  /** The limit is reached and the unit has not been ready since: dependents are blocked. */
  readonly exhausted: boolean;
  /** It has been started since it was last down, so there may be something to undo. */
  readonly dirty: boolean;
  /** Processes of the present generation survived its stop: they are ended before anything else happens. */
  readonly hasSurvivors: boolean;
  /** The unit's own last failure, until it is ready. */
  readonly lastError?: ReadinessError;
}

/** It has been launched, and nothing has ended it yet. */
export const hasRun = ({ id }: MachineState): boolean =>
  id === 'starting' || id === 'ready' || id === 'unhealthy' || id === 'done';

export const initialMachine: Machine = {
  state: { id: 'inactive' },
  desired: 'down',
  generation: 0,
  failedStarts: 0,
  failuresMs: [],
  retries: 0,
  restarts: 0,
  exhausted: false,
  dirty: false,
  hasSurvivors: false,
};

export type Input =
  /** Somebody wants the unit up or down. */
  | { readonly type: 'want'; readonly desired: 'up' | 'down' }
  /**
   * It is wanted up, and a run of an earlier supervisor is gone on with: a process that has to show
   * again that it is ready, or a task that has ended well. Only believed in `inactive`.
   */
  | { readonly type: 'adopt'; readonly run: { readonly generation: number; readonly pid?: number } }
  /** The gates were looked at. Only believed in `waiting` and `blocked`. */
  | { readonly type: 'gates'; readonly gates: 'open' | 'closed' }
  | { readonly type: 'gates'; readonly gates: 'blocked'; readonly error: ReadinessError }
  | { readonly type: 'spawned'; readonly generation: number; readonly pid: number }
  /** The readiness check passed, or a task or builtin ended well. */
  | { readonly type: 'passed'; readonly generation: number; readonly finished: boolean }
  /** Could not be spawned, was not ready in time, threw, or its process exited before it was ready. */
  | { readonly type: 'failed'; readonly generation: number; readonly error: ReadinessError }
  /** The process of a ready service exited by itself; `clean` with code 0. */
  | { readonly type: 'exited'; readonly generation: number; readonly clean: boolean; readonly error: ReadinessError }
  | { readonly type: 'healthy'; readonly generation: number }
  | {
      readonly type: 'unhealthy';
      readonly generation: number;
      readonly error: ReadinessError;
      readonly restart: boolean;
    }
  /** The stop ladder is through; `leftover` when processes survived it. */
  | { readonly type: 'stopped'; readonly generation: number; readonly leftover?: ReadinessError }
  | { readonly type: 'undone' }
  /** The retry time has come, or something hints that a retry is worth while. */
  | { readonly type: 'retry' }
  /** Stop, then start again when the gates are open: on request, or because a dependency was lost. */
  | { readonly type: 'restart' };

export type Effect =
  | { readonly type: 'start'; readonly generation: number }
  | { readonly type: 'adopt'; readonly generation: number }
  | { readonly type: 'stop'; readonly generation: number }
  | { readonly type: 'undo' }
  | { readonly type: 'watch'; readonly generation: number };

export interface Policy {
  readonly when: 'always' | 'on-failure' | 'never';
  readonly backoff: Backoff;
  readonly limitStarts: number;
  readonly limitWithinMs: number;
  readonly resetAfterMs: number;
  readonly hasUndo: boolean;
}

export interface StepContext {
  readonly nowMs: number;
  readonly random: () => number;
  readonly policy: Policy;
}

export interface Step {
  readonly machine: Machine;
  readonly effects: readonly Effect[];
}

export const stay = (machine: Machine): Step => ({ machine, effects: [] });

export const to = (machine: Machine, state: MachineState, ...effects: Effect[]): Step => ({
  machine: { ...machine, state },
  effects,
});

export const toStopping = (machine: Machine, next: 'down' | 'restart' | 'retry'): Step =>
  to(machine, { id: 'stopping', next, undoing: false }, { type: 'stop', generation: machine.generation });

/** A new start, once what survived the last stop is gone: at most one generation is alive. */
export const toWaiting = (machine: Machine): Step =>
  machine.hasSurvivors ? toStopping(machine, 'restart') : to(machine, { id: 'waiting' });
