/** The readiness channel: how anybody learns of one unit's state. Design contract 3. */
import { ReadinessError } from '../error/readiness-error.ts';
import type { Latch } from '../kernel/latch.ts';
import { isUp, type Moment, type UnitSnapshot } from '../unit/state.ts';

/** Proof that a unit was ready. */
export interface Ready {
  readonly unit: string;
  readonly generation: number;
  readonly at: Moment;
}

/**
 * Latched (a late reader sees the present state first) and conflating (a slow reader skips to the
 * newest). Reading never changes the unit; one probe run serves all readers.
 */
export interface ReadinessChannel extends Latch<UnitSnapshot> {
  /**
   * Resolves when the unit is ready (at once if it is).
   *
   * @throws {@link ReadinessError} when it is failed, blocked or stopped; it may recover: call again.
   *   The signal's reason when `signal` aborts; the unit goes on.
   */
  ready(options?: { readonly signal?: AbortSignal }): Promise<Ready>;
}

export function readinessChannel(snapshots: Latch<UnitSnapshot>): ReadinessChannel {
  return {
    get current() {
      return snapshots.current;
    },
    subscribe: (listener) => snapshots.subscribe(listener),
    when: (accept, options) => snapshots.when(accept, options),
    async ready(options) {
      const settled = await snapshots.when(isSettled, options);
      if (!isUp(settled.state)) throw notReadyError(settled);
      return { unit: settled.unit, generation: settled.generation, at: settled.readyAt ?? settled.since };
    },
    [Symbol.asyncIterator]: () => snapshots[Symbol.asyncIterator](),
  };
}

function isSettled({ state }: UnitSnapshot): boolean {
  return isUp(state) || state === 'failed' || state === 'blocked' || state === 'stopped';
}

function notReadyError(snapshot: UnitSnapshot): ReadinessError {
  if (snapshot.state !== 'stopped' && snapshot.lastError !== undefined) return snapshot.lastError;
  return new ReadinessError('ERR_STOPPED', {
    component: snapshot.unit,
    generation: snapshot.generation,
    check: 'process',
    phase: 'stop',
    reason: 'on request',
    attempts: [],
    attemptCount: 0,
    elapsedMs: 0,
    lastLogLines: [],
  });
}
