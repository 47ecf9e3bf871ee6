/** Timers and queue entries that mean something in the present state of a unit only. */
import type { Clock } from '../kernel/clock.ts';

export class StateTimers {
  readonly #clock: Clock;
  readonly #items: Disposable[] = [];
  readonly #dueAtMs: number[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  set(delayMs: number, fire: () => void): void {
    this.#dueAtMs.push(this.#clock.monotonicMs() + delayMs);
    this.#items.push(this.#clock.timer(delayMs, fire));
  }

  add(item: Disposable): void {
    this.#items.push(item);
  }

  /** The state is over. */
  clear(): void {
    this.#dueAtMs.length = 0;
    for (const item of this.#items.splice(0)) item[Symbol.dispose]();
  }

  /** Ms until each fires. */
  remainingMs(): readonly number[] {
    const nowMs = this.#clock.monotonicMs();
    return this.#dueAtMs.map((atMs) => atMs - nowMs).filter((inMs) => inMs > 0);
  }
}
