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
 * This file says which rule answers which input. The rules themselves: machine-start, machine-failure, machine-stop.
 * Not here: performing effects (unit-runner), what the gates are (gates).
 */
import { unreachable } from '../kernel/unreachable.ts';
import { onExited, onFailedStart, onHealthy, onUnhealthy } from './machine-failure.ts';
import { onAdopt, onGates, onPassed, onSpawned, onWantUp } from './machine-start.ts';
import { onRestart, onStopped, onUndone, onWantDown } from './machine-stop.ts';
import { stay, toWaiting, type Input, type Machine, type Step, type StepContext } from './machine.ts';

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
      return onSpawned(machine, input.pid);
    case 'passed':
      return onPassed(machine, input.finished, context);
    case 'failed':
      return onFailedStart(machine, input.error, context);
    case 'exited':
      return onExited(machine, input.clean, input.error, context);
    case 'healthy':
      return onHealthy(machine);
    case 'unhealthy':
      return onUnhealthy(machine, input.error, input.restart, context);
    case 'stopped':
      return onStopped(machine, input.leftover, context);
    case 'undone':
      return onUndone(machine);
    case 'retry':
      return machine.state.id === 'backoff' || machine.state.id === 'failed' ? toWaiting(machine) : stay(machine);
    case 'restart':
      return onRestart(machine);
    default:
      return unreachable(input);
  }
}
