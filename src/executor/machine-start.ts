/** The way up: wanted, gates, spawned, ready. Part of the unit machine; pure. */
import { unreachable } from '../kernel/unreachable.ts';
import { stay, to, toWaiting, type Input, type Machine, type Step, type StepContext } from './machine.ts';

export function onWantUp(machine: Machine): Step {
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
export function onAdopt(
  machine: Machine,
  { generation, pid }: { readonly generation: number; readonly pid?: number },
): Step {
  if (machine.state.id !== 'inactive') return stay(machine);
  return to(
    { ...machine, desired: 'up', generation, dirty: true },
    pid === undefined ? { id: 'done' } : { id: 'starting', pid },
    { type: 'adopt', generation },
  );
}

export function onGates(machine: Machine, input: Extract<Input, { type: 'gates' }>): Step {
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

export function onSpawned(machine: Machine, pid: number): Step {
  return machine.state.id === 'starting' ? to(machine, { id: 'starting', pid }) : stay(machine);
}

export function onPassed(machine: Machine, finished: boolean, { nowMs }: StepContext): Step {
  const { state, generation } = machine;
  if (state.id !== 'starting') return stay(machine);
  const { lastError: _mended, ...rest } = machine;
  const reached = { ...rest, failedStarts: 0, exhausted: false };
  if (finished) return to({ ...reached, failuresMs: [], retries: 0 }, { id: 'done' });
  const pid = state.pid === undefined ? {} : { pid: state.pid };
  return to(reached, { id: 'ready', sinceMs: nowMs, ...pid }, { type: 'watch', generation });
}
