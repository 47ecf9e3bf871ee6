/**
 * The one ordered stream of events. Emitting assigns `seq` and pushes to a bounded ring;
 * subscribers drain in their own turn of the event loop, after units that can be started, with a time slice, and one that
 * falls behind is told how many it missed. So nobody slow or throwing delays a unit (design contract 5).
 */
import type { Clock } from '../kernel/clock.ts';
import type { Envelope, Event } from './event.ts';

export interface Subscriber<E = Event> {
  onEvent(envelope: Envelope<E>): void;
  /** Events that were overwritten before this subscriber read them. */
  onDropped?(count: number): void;
}

export interface EventStream<E = Event> {
  emit(event: E): void;
  /**
   * Reads from `since` (default: what comes next; 0: all that the ring still has; a seq that it has no more is told
   * as dropped). A throwing subscriber is detached and reported. Disposing from within `onEvent` ends it at once.
   */
  subscribe(subscriber: Subscriber<E>, options?: { readonly since?: number }): Disposable;
  /** Everything the ring still holds, oldest first. */
  history(since?: number): readonly Envelope<E>[];
  /** Delivers all that is pending now; for the end of a command. */
  flush(): void;
  readonly lastSeq: number;
  /** Events kept. */
  readonly capacity: number;
  /** Sum over all subscribers of the events they were too slow for. */
  readonly dropped: number;
}

export interface EventStreamOptions {
  readonly clock: Clock;
  /** Events kept (default 8192). */
  readonly capacity?: number;
  /** How long subscribers may take in one turn, in milliseconds (default 4). */
  readonly sliceMs?: number;
}

export function createEventStream(options: EventStreamOptions): EventStream {
  return createStreamOf<Event>({
    ...options,
    readerFailed: (error) => ({
      type: 'notice',
      level: 'warning',
      text: `internal error: an event reader failed and was detached: ${String(error)}`,
    }),
  });
}

export interface StreamOptions<E> extends EventStreamOptions {
  /** The event that tells of a reader which threw and was detached. */
  readonly readerFailed: (error: unknown) => E;
}

/** The same for a service of ours with events of its own. */
export function createStreamOf<E>(options: StreamOptions<E>): EventStream<E> {
  const { clock, capacity = 8192, sliceMs = 4, readerFailed } = options;
  const ring: Envelope<E>[] = [];
  let nextSeq = 1;
  const readers = new Set<Reader<E>>();
  let scheduled = false;
  let droppedCount = 0;

  const oldestSeq = () => Math.max(1, nextSeq - Math.min(capacity, nextSeq - 1));
  const at = (seq: number) => ring[(seq - 1) % capacity];

  const emit = (event: E) => {
    ring[(nextSeq - 1) % capacity] = { seq: nextSeq, wallMs: clock.wallMs(), monotonicMs: clock.monotonicMs(), event };
    nextSeq += 1;
    if (readers.size > 0) schedule();
  };

  /** A reader that asks for more than the ring still has is told what it missed; one that asks for 0 is content. */
  const firstSeq = (since: number | undefined) => {
    if (since === undefined) return nextSeq;
    return since <= 0 ? oldestSeq() : Math.min(since, nextSeq);
  };

  const schedule = () => {
    if (scheduled) return;
    scheduled = true;
    clock.later(deliverAll);
  };
  const deliverAll = () => {
    scheduled = drain(clock.monotonicMs() + sliceMs);
    // Who had to wait takes turns with others from then on, or would miss events while many units start.
    if (scheduled) clock.soon(deliverAll);
  };

  /** Delivers until everybody is up to date or the time is over; true if something is left. */
  const drain = (deadlineMs: number): boolean => {
    for (const reader of [...readers]) {
      // A reader that was detached on the way, by itself or because it threw, gets nothing more.
      while (readers.has(reader) && reader.nextSeq < nextSeq) {
        if (clock.monotonicMs() > deadlineMs) {
          // To the end of the row: the next turn begins with those that had to wait for this one.
          readers.delete(reader);
          readers.add(reader);
          return true;
        }
        deliver(reader);
      }
    }
    // What the last readers emitted is still to be told to the first ones.
    for (const reader of readers) if (reader.nextSeq < nextSeq) return true;
    return false;
  };

  const deliver = (reader: Reader<E>) => {
    const dropped = oldestSeq() - reader.nextSeq;
    if (dropped > 0) {
      reader.nextSeq = oldestSeq();
      droppedCount += dropped;
    }
    const envelope = at(reader.nextSeq);
    reader.nextSeq += 1;
    try {
      if (dropped > 0) reader.subscriber.onDropped?.(dropped);
      if (envelope !== undefined) reader.subscriber.onEvent(envelope);
    } catch (error) {
      readers.delete(reader);
      emit(readerFailed(error));
    }
  };

  return {
    emit,
    subscribe(subscriber, { since } = {}) {
      const reader: Reader<E> = { subscriber, nextSeq: firstSeq(since) };
      readers.add(reader);
      if (reader.nextSeq < nextSeq) schedule();
      return { [Symbol.dispose]: () => void readers.delete(reader) };
    },
    history(since = 0) {
      const envelopes: Envelope<E>[] = [];
      for (let seq = Math.max(since, oldestSeq()); seq < nextSeq; seq += 1) {
        const envelope = at(seq);
        if (envelope !== undefined) envelopes.push(envelope);
      }
      return envelopes;
    },
    flush() {
      while (drain(Number.POSITIVE_INFINITY));
    },
    get lastSeq() {
      return nextSeq - 1;
    },
    capacity,
    get dropped() {
      return droppedCount;
    },
  };
}

interface Reader<E> {
  readonly subscriber: Subscriber<E>;
  nextSeq: number;
}
