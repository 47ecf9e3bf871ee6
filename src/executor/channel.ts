/** The readiness channel: how anybody learns of one unit's state. Design contract 3. */
import type { ReadinessError } from '../error/readiness-error.ts';
import type { Moment, UnitSnapshot } from '../unit/state.ts';

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
export interface ReadinessChannel extends AsyncIterable<UnitSnapshot> {
  readonly current: UnitSnapshot;
  /**
   * Resolves when the unit is ready (at once if it is).
   *
   * @throws {@link ReadinessError} when it is failed, blocked or stopped; it may recover: call again.
   *   The signal's reason when `signal` aborts; the unit goes on.
   */
  ready(options?: { readonly signal?: AbortSignal }): Promise<Ready>;
  /** Resolves with the first snapshot, the present one included, that `accept` takes. */
  when(accept: (snapshot: UnitSnapshot) => boolean, options?: { readonly signal?: AbortSignal }): Promise<UnitSnapshot>;
  /** Calls `listener` with the present snapshot now and with each later one. */
  subscribe(listener: (snapshot: UnitSnapshot) => void): Disposable;
}

export type { ReadinessError };
