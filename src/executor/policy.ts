/** What the unit machine has to know of a unit file. */
import type { Unit } from '../unit/schema.ts';
import type { Policy } from './machine.ts';

export function policyOf({ restart, undo }: Unit): Policy {
  const { when, backoff, limit, resetAfter } = restart;
  return {
    when,
    backoff: { firstMs: backoff.first, factor: backoff.factor, maxMs: backoff.max, jitter: backoff.jitter },
    limitStarts: limit.starts,
    limitWithinMs: limit.within,
    resetAfterMs: resetAfter,
    hasUndo: undo !== undefined,
  };
}
