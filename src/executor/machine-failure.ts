/** What goes wrong with a generation, and how failures are counted (design contract 1). Part of the unit machine; pure. */
import type { ReadinessError } from '../error/readiness-error.ts';
import { stay, to, toStopping, type Machine, type Step, type StepContext } from './machine.ts';

export function onFailedStart(machine: Machine, error: ReadinessError, context: StepContext): Step {
  return machine.state.id === 'starting' ? onFailure(machine, error, context) : stay(machine);
}

export function onExited(machine: Machine, clean: boolean, error: ReadinessError, context: StepContext): Step {
  const { state } = machine;
  if (state.id === 'starting') return onFailure(machine, error, context);
  if (state.id !== 'ready' && state.id !== 'unhealthy') return stay(machine);
  const { when } = context.policy;
  if (clean && when !== 'always') {
    return toStopping({ ...machine, desired: 'down' }, 'down');
  }
  return onFailure(machine, error, context);
}

export function onUnhealthy(machine: Machine, error: ReadinessError, restart: boolean, context: StepContext): Step {
  const { state } = machine;
  if (state.id !== 'ready' && state.id !== 'unhealthy') return stay(machine);
  if (restart) return onFailure(machine, error, context);
  return to({ ...machine, lastError: error }, { ...state, id: 'unhealthy', error });
}

export function onHealthy(machine: Machine): Step {
  const { state } = machine;
  if (state.id !== 'unhealthy') return stay(machine);
  const { error: _mended, ...process } = state;
  return to(machine, { ...process, id: 'ready' });
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
