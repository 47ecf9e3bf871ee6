/**
 * The one place where a unit changes state: a pure function of state and input.
 *
 * ```
 *                      gates blocked            gates open             passed
 *  inactive ─want up─► waiting ◄────► blocked      │      ┌──────► ready ⇄ unhealthy
 *                         │  ▲            └────────┤      │ (task: done)      │
 *                         └──┼──────────────────► starting ──────┐  exited,   │
 *                     retry  │                        │ failed   │  restart   │
 *             backoff / failed ◄──── stopped ──── stopping ◄─────┴────────────┘
 *                                                     │ want down, undone
 *                                                     ▼
 *                                                  stopped
 *
 *  inactive ─adopt─► starting (its process runs; no gate is asked), or done (a task that stands)
 * ```
 *
 * Desired state (up or down) is kept apart from the present one. Every answer carries the
 * generation it speaks of; one of an older generation is never believed. A failed generation is
 * always stopped and verified empty before the next one starts, so that leftovers of the last run
 * cannot hold its port. Nothing is terminal: `failed` retries slowly (unless `restart.when` is never).
 *
 * Not here: performing effects (unit-runner), what the gates are (gates).
 */
import type { ReadinessError } from '../error/readiness-error.ts';
import { backoffDelayMs, type Backoff } from '../kernel/backoff.ts';
import { unreachable } from '../kernel/unreachable.ts';

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

const stay = (machine: Machine): Step => ({ machine, effects: [] });

const to = (machine: Machine, state: MachineState, ...effects: Effect[]): Step => ({
  machine: { ...machine, state },
  effects,
});

const toStopping = (machine: Machine, next: 'down' | 'restart' | 'retry'): Step =>
  to(machine, { id: 'stopping', next, undoing: false }, { type: 'stop', generation: machine.generation });

/** A new start, once what survived the last stop is gone: at most one generation is alive. */
const toWaiting = (machine: Machine): Step =>
  machine.hasSurvivors ? toStopping(machine, 'restart') : to(machine, { id: 'waiting' });

/** Pure. An input that has no meaning in a state changes nothing. */
export function step(machine: Machine, input: Input, context: StepContext): Step {
  if ('generation' in input && input.generation !== machine.generation) return stay(machine);
  switch (input.type) {
    case 'want':
      return input.desired === 'up'
        ? onWantUp({ ...machine, desired: 'up' })
        : onWantDown({ ...machine, desired: 'down' }, context);
    case 'adopt':
      return onAdopt(machine, input.run);
    case 'gates':
      return onGates(machine, input);
    case 'spawned':
      return machine.state.id === 'starting' ? to(machine, { id: 'starting', pid: input.pid }) : stay(machine);
    case 'passed':
      return onPassed(machine, input.finished, context);
    case 'failed':
      return machine.state.id === 'starting' ? onFailure(machine, input.error, context) : stay(machine);
    case 'exited':
      return onExited(machine, input.clean, input.error, context);
    case 'healthy':
      return machine.state.id === 'unhealthy' ? to(machine, withPid('ready', machine.state)) : stay(machine);
    case 'unhealthy':
      return onUnhealthy(machine, input.error, input.restart, context);
    case 'stopped':
      return machine.state.id === 'stopping' && !machine.state.undoing
        ? onStopped(
            { ...machine, hasSurvivors: input.leftover !== undefined },
            machine.state.next,
            input.leftover,
            context,
          )
        : stay(machine);
    case 'undone':
      return machine.state.id === 'stopping' && machine.state.undoing ? onDown(machine) : stay(machine);
    case 'retry':
      return machine.state.id === 'backoff' || machine.state.id === 'failed' ? toWaiting(machine) : stay(machine);
    case 'restart':
      return onRestart(machine);
    default:
      return unreachable(input);
  }
}

function withPid(id: 'ready', state: { readonly pid?: number; readonly sinceMs: number }): MachineState {
  return { id, sinceMs: state.sinceMs, ...(state.pid === undefined ? {} : { pid: state.pid }) };
}

function onWantUp(machine: Machine): Step {
  switch (machine.state.id) {
    case 'inactive':
    case 'stopped':
    case 'backoff':
    case 'failed':
      return toWaiting(machine);
    case 'stopping':
      return machine.state.next === 'down' && !machine.state.undoing
        ? to(machine, { ...machine.state, next: 'restart' })
        : stay(machine);
    default:
      return stay(machine);
  }
}

/** `pid` undefined: a finished task. */
function onAdopt(machine: Machine, { generation, pid }: { readonly generation: number; readonly pid?: number }): Step {
  if (machine.state.id !== 'inactive') return stay(machine);
  return to(
    { ...machine, desired: 'up', generation, dirty: true },
    pid === undefined ? { id: 'done' } : { id: 'starting', pid },
    { type: 'adopt', generation },
  );
}

function onWantDown(machine: Machine, { policy }: StepContext): Step {
  switch (machine.state.id) {
    case 'inactive':
    case 'waiting':
    case 'blocked':
    case 'backoff':
    case 'failed':
      if (machine.hasSurvivors) return toStopping(machine, 'down');
      // Its processes are gone already; what an earlier generation did may still have to be undone.
      return machine.dirty && policy.hasUndo
        ? to(machine, { id: 'stopping', next: 'down', undoing: true }, { type: 'undo' })
        : onDown(machine);
    case 'starting':
    case 'ready':
    case 'unhealthy':
    case 'done':
      return toStopping(machine, 'down');
    case 'stopping':
      return to(machine, { ...machine.state, next: 'down' });
    case 'stopped':
      return stay(machine);
    default:
      return unreachable(machine.state);
  }
}

function onGates(machine: Machine, input: Extract<Input, { type: 'gates' }>): Step {
  const { id } = machine.state;
  if (id !== 'waiting' && id !== 'blocked') return stay(machine);
  switch (input.gates) {
    case 'closed':
      return id === 'waiting' ? stay(machine) : to(machine, { id: 'waiting' });
    case 'blocked':
      // Its own last error stays: it counts again when what blocks it has recovered.
      return to(machine, { id: 'blocked', error: input.error });
    case 'open': {
      const generation = machine.generation + 1;
      return to(
        { ...machine, generation, dirty: true, restarts: machine.restarts + (machine.dirty ? 1 : 0) },
        { id: 'starting' },
        { type: 'start', generation },
      );
    }
    default:
      return unreachable(input);
  }
}

function onPassed(machine: Machine, finished: boolean, { nowMs }: StepContext): Step {
  const { state, generation } = machine;
  if (state.id !== 'starting') return stay(machine);
  const { lastError: _mended, ...rest } = machine;
  const reached = { ...rest, failedStarts: 0, exhausted: false };
  if (finished) return to({ ...reached, failuresMs: [], retries: 0 }, { id: 'done' });
  const pid = state.pid === undefined ? {} : { pid: state.pid };
  return to(reached, { id: 'ready', sinceMs: nowMs, ...pid }, { type: 'watch', generation });
}

function onExited(machine: Machine, clean: boolean, error: ReadinessError, context: StepContext): Step {
  const { state } = machine;
  if (state.id === 'starting') return onFailure(machine, error, context);
  if (state.id !== 'ready' && state.id !== 'unhealthy') return stay(machine);
  const { when } = context.policy;
  if (clean && when !== 'always') {
    return toStopping({ ...machine, desired: 'down' }, 'down');
  }
  return onFailure(machine, error, context);
}

function onUnhealthy(machine: Machine, error: ReadinessError, restart: boolean, context: StepContext): Step {
  const { state } = machine;
  if (state.id !== 'ready' && state.id !== 'unhealthy') return stay(machine);
  if (restart) return onFailure(machine, error, context);
  return to({ ...machine, lastError: error }, { ...state, id: 'unhealthy', error });
}

/** Counts the failure, then stops what is left of the generation; `stopped` decides how to go on. */
function onFailure(machine: Machine, error: ReadinessError, { nowMs, policy }: StepContext): Step {
  const { state } = machine;
  const readySinceMs = state.id === 'ready' || state.id === 'unhealthy' ? state.sinceMs : undefined;
  const wasQuiet = readySinceMs !== undefined && nowMs - readySinceMs >= policy.resetAfterMs;
  const earlier = wasQuiet ? [] : machine.failuresMs.filter((atMs) => nowMs - atMs < policy.limitWithinMs);
  const failuresMs = readySinceMs === undefined ? earlier : [...earlier, nowMs];
  const failedStarts = readySinceMs === undefined ? machine.failedStarts + 1 : 0;
  return toStopping(
    {
      ...machine,
      lastError: error,
      failuresMs,
      failedStarts,
      retries: wasQuiet ? 1 : machine.retries + 1,
      exhausted:
        machine.exhausted ||
        policy.when === 'never' ||
        failedStarts >= policy.limitStarts ||
        failuresMs.length >= policy.limitStarts,
    },
    'retry',
  );
}

function onStopped(
  machine: Machine,
  next: 'down' | 'restart' | 'retry',
  leftover: ReadinessError | undefined,
  context: StepContext,
): Step {
  const { nowMs, random, policy } = context;
  const told = leftover === undefined ? machine : { ...machine, lastError: leftover };
  if (next === 'down') {
    return policy.hasUndo ? to(told, { id: 'stopping', next: 'down', undoing: true }, { type: 'undo' }) : onDown(told);
  }
  if (next === 'restart' && leftover === undefined) return to(machine, { id: 'waiting' });
  const error = leftover ?? machine.lastError;
  if (error === undefined) return to(machine, { id: 'waiting' });
  if (machine.exhausted || leftover !== undefined) {
    const retryAtMs = nowMs + policy.backoff.maxMs;
    const slowRetry = policy.when === 'never' ? {} : { retryAtMs };
    return to({ ...told, exhausted: true }, { id: 'failed', error, ...slowRetry });
  }
  const retryAtMs = nowMs + backoffDelayMs(policy.backoff, machine.retries, random);
  return to(machine, { id: 'backoff', error, retryAtMs });
}

/** Everything is gone: a later start begins with a clean slate. */
function onDown(machine: Machine): Step {
  const clean = { ...machine, failedStarts: 0, failuresMs: [], retries: 0, exhausted: false, dirty: false };
  return machine.desired === 'up' ? toWaiting(clean) : to(clean, { id: 'stopped' });
}

function onRestart(machine: Machine): Step {
  switch (machine.state.id) {
    case 'starting':
    case 'ready':
    case 'unhealthy':
    case 'done':
      return toStopping(machine, 'restart');
    case 'backoff':
    case 'failed':
      return toWaiting(machine);
    case 'stopping':
      // Somebody wants it now, not after a backoff.
      return machine.state.next === 'retry' ? to(machine, { ...machine.state, next: 'restart' }) : stay(machine);
    default:
      return stay(machine);
  }
}
