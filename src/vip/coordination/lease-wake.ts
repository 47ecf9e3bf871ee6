/** When time alone has the Lease machine do something. */
import type { LeaseMachine } from './lease-model.ts';
import { giveUpAt, type Timing } from './timing.ts';

/** @returns on the monotonic clock, or undefined while only answers are waited for */
export function wakeAt({ state, isWanted }: LeaseMachine, timing: Timing): number | undefined {
  switch (state.id) {
    case 'released':
      return isWanted && state.call === undefined ? state.nextAtMs : undefined;
    case 'held':
      return Math.min(state.renewAtMs, state.holding.deadlineMs - timing.withdrawMs);
    case 'renewing':
      return giveUpAt(timing, state.cycle.beganAtMs, state.holding.deadlineMs);
    case 'doubtful': {
      const endMs = giveUpAt(timing, state.cycle.beganAtMs, state.holding.deadlineMs);
      return state.call === undefined ? Math.min(state.nextAtMs, endMs) : endMs;
    }
    case 'lost':
      return undefined;
  }
}
