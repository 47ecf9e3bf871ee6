/** A queue of events in true time, and clocks that are wrong about it: each with an offset and a rate of its own. */

export interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

export class EventQueue {
  nowMs = 0;
  #order = 0;
  readonly #heap: Event[] = [];

  at(atMs: number, run: () => void): void {
    this.#push({ atMs: Math.max(atMs, this.nowMs), order: this.#order++, run });
  }

  after(delayMs: number, run: () => void): void {
    this.at(this.nowMs + delayMs, run);
  }

  runUntil(untilMs: number): void {
    for (let next = this.#heap[0]; next !== undefined && next.atMs <= untilMs; next = this.#heap[0]) {
      this.#pop();
      this.nowMs = next.atMs;
      next.run();
    }
    this.nowMs = untilMs;
  }

  #isBefore(a: Event, b: Event): boolean {
    return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
  }

  #push(event: Event): void {
    const heap = this.#heap;
    heap.push(event);
    for (let child = heap.length - 1; child > 0;) {
      const parent = (child - 1) >> 1;
      const [c, p] = [heap[child] as Event, heap[parent] as Event];
      if (!this.#isBefore(c, p)) break;
      heap[child] = p;
      heap[parent] = c;
      child = parent;
    }
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Event;
    if (heap.length === 0) return;
    heap[0] = last;
    for (let parent = 0; ;) {
      const left = 2 * parent + 1;
      if (left >= heap.length) return;
      const right = left + 1;
      const least = right < heap.length && this.#isBefore(heap[right] as Event, heap[left] as Event) ? right : left;
      const [p, l] = [heap[parent] as Event, heap[least] as Event];
      if (!this.#isBefore(l, p)) return;
      heap[parent] = l;
      heap[least] = p;
      parent = least;
    }
  }
}

export interface LocalClock {
  /** What this clock shows now. */
  now(): number;
  /** The true time at which it will show this. */
  trueTime(localMs: number): number;
}

export const localClock = (queue: EventQueue, offsetMs: number, rate: number): LocalClock => ({
  now: () => offsetMs + queue.nowMs * rate,
  trueTime: (localMs) => (localMs - offsetMs) / rate,
});
