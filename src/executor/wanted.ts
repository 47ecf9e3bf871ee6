/**
 * What is wanted up, and how much of it is not: the bookkeeping behind "everything is ready".
 *
 * Which units are wanted is decided elsewhere; what a unit that is not wanted does changes nothing here.
 */
import type { EventStream } from '../event/stream.ts';
import type { Clock } from '../kernel/clock.ts';
import { latch, type Latch } from '../kernel/latch.ts';
import { isUp, type UnitSnapshot } from '../unit/state.ts';

export interface WantedOptions {
  readonly clock: Clock;
  readonly events: EventStream;
  snapshotOf(unit: string): UnitSnapshot;
}

export class Wanted {
  readonly #options: WantedOptions;
  readonly #units = new Set<string>();
  /** How many wanted units are not up; null before anything is wanted. */
  readonly #missing = latch<number | null>(null);
  #sinceMs = 0;

  constructor(options: WantedOptions) {
    this.#options = options;
  }

  get missing(): Latch<number | null> {
    return this.#missing;
  }

  has(unit: string): boolean {
    return this.#units.has(unit);
  }

  /** From here on the time to "everything is ready" counts. */
  begin(): void {
    this.#sinceMs = this.#options.clock.monotonicMs();
  }

  /** Telling that everything is ready is left to the change that makes it so: what is wanted anew is seldom up. */
  add(units: Iterable<string>): void {
    for (const unit of units) this.#units.add(unit);
    this.#missing.set(this.#count());
  }

  /** What is wanted no longer is missed no longer: the rest may be all that was waited for. */
  remove(units: Iterable<string>): void {
    const before = this.#units.size;
    for (const unit of units) this.#units.delete(unit);
    if (this.#units.size < before) this.#set(this.#count());
  }

  /** To be called at each change of a unit's snapshot. */
  onChange(unit: string, before: UnitSnapshot, after: UnitSnapshot): void {
    if (!this.#units.has(unit) || isUp(before.state) === isUp(after.state)) return;
    const wasReady = this.#missing.current === 0;
    this.#set((this.#missing.current ?? 0) + (isUp(after.state) ? -1 : 1));
    if (wasReady) this.#options.events.emit({ type: 'up.lost', unit });
  }

  #set(missing: number): void {
    const before = this.#missing.current;
    this.#missing.set(missing);
    if (missing !== 0 || before === 0 || this.#units.size === 0) return;
    const elapsedMs = this.#options.clock.monotonicMs() - this.#sinceMs;
    this.#options.events.emit({ type: 'up.ready', elapsedMs });
  }

  #count(): number {
    let count = 0;
    for (const unit of this.#units) if (!isUp(this.#options.snapshotOf(unit).state)) count += 1;
    return count;
  }
}
