/**
 * One step of the coordinator while it is made: the state that becomes another one, and what has to be done
 * about it. Who decides is elsewhere: inputs (coordinator.ts), what Leases show (coordinator-sight.ts), what is
 * due (coordinator-decide.ts).
 */
import type { CoordinatorEffect, CoordinatorEvent, CoordinatorRules, CoordinatorState } from './coordinator-model.ts';
import type { LeaseSighting } from './lease-model.ts';
import { isAlive } from './node-evidence.ts';

export class CoordinatorDraft {
  #state: CoordinatorState;
  readonly rules: CoordinatorRules;
  readonly nowMs: number;
  readonly effects: CoordinatorEffect[] = [];
  /** A renewal that says nothing new: a hundred nodes send a hundred a second, and none of them is planned for. */
  isRoutine = false;

  constructor(state: CoordinatorState, rules: CoordinatorRules, nowMs: number) {
    this.#state = state;
    this.rules = rules;
    this.nowMs = nowMs;
  }

  get state(): CoordinatorState {
    return this.#state;
  }

  /** The newest revision that a watch has shown; 0: none. */
  get seenRevision(): number {
    return this.#state.view?.revision ?? 0;
  }

  isAlive(sighting: LeaseSighting | undefined): boolean {
    return sighting !== undefined && isAlive(sighting, this.nowMs, this.rules.leaseDurationMs);
  }

  /** A renewal that comes when something is due takes the place of the timer, which is set anew after it. */
  isDue(): boolean {
    const { wakeAtMs } = this.#state;
    return wakeAtMs !== undefined && this.nowMs >= wakeAtMs;
  }

  /** Whether it is the call that is under way; then it is so no longer. */
  ends(id: number): boolean {
    if (this.#state.call?.id !== id) return false;
    this.set({ call: undefined });
    return true;
  }

  /** Begins the one call that may be under way. @returns its id */
  call(call: Omit<NonNullable<CoordinatorState['call']>, 'id'>): number {
    const id = this.#state.calls + 1;
    this.set({ calls: id, call: { id, ...call } });
    return id;
  }

  add(effect: CoordinatorEffect): void {
    this.effects.push(effect);
  }

  tell(event: CoordinatorEvent): void {
    this.effects.push({ type: 'tell', event });
  }

  set(change: Partial<CoordinatorState>): void {
    this.#state = { ...this.#state, ...change };
  }
}
