/** The way down, and where it goes from there: rest, another start, or a retry. Part of the unit machine; pure. */
import type { ReadinessError } from '../error/readiness-error.ts';
import { backoffDelayMs } from '../kernel/backoff.ts';
import { unreachable } from '../kernel/unreachable.ts';
import { stay, to, toStopping, toWaiting, type Machine, type Step, type StepContext } from './machine.ts';

export function onWantDown(machine: Machine, { policy }: StepContext): Step {
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

/** `leftover`: processes survived the ladder. */
export function onStopped(before: Machine, leftover: ReadinessError | undefined, context: StepContext): Step {
  if (before.state.id !== 'stopping' || before.state.undoing) return stay(before);
  const { next } = before.state;
  const { nowMs, random, policy } = context;
  const machine = { ...before, hasSurvivors: leftover !== undefined };
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

export function onUndone(machine: Machine): Step {
  return machine.state.id === 'stopping' && machine.state.undoing ? onDown(machine) : stay(machine);
}

/** Everything is gone: a later start begins with a clean slate. With survivors it is not down, if it is wanted again. */
function onDown(machine: Machine): Step {
  if (machine.hasSurvivors && machine.desired === 'up') return toWaiting(machine);
  const clean = { ...machine, failedStarts: 0, failuresMs: [], retries: 0, exhausted: false, dirty: false };
  return machine.desired === 'up' ? toWaiting(clean) : to(clean, { id: 'stopped' });
}

export function onRestart(machine: Machine): Step {
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
