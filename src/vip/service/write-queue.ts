/**
 * Writes that nobody waits for: to the status of Services, and events. One at a time, the newest of
 * each key, and with a backoff of its own for each that fails. Nothing is decided by it: however long
 * the API is away, an address is taken, moved and dropped all the same.
 */
import { backoffDelayMs, type Backoff } from '../../kernel/backoff.ts';
import type { Clock } from '../../kernel/clock.ts';
import { inTime } from '../../kernel/in-time.ts';
import { messageOf } from '../../kernel/message-of.ts';

export interface WriteQueue extends Disposable {
  /** In place of a write with the same key that is still waiting. */
  put(key: string, write: (signal: AbortSignal) => Promise<void>): void;
  /** It is no longer wanted. */
  forget(key: string): void;
  readonly waiting: number;
}

export interface WriteQueueOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /** A write has failed, for the n-th time in a row. */
  readonly onFailure: (key: string, reason: string, times: number) => void;
  /** Whether it is of no use to try a write again. */
  readonly isFinal: (error: unknown) => boolean;
  readonly signal: AbortSignal;
}

const pace: Backoff = { firstMs: 200, factor: 2, maxMs: 30_000, jitter: 0.5 };
/** An API server that hangs may not keep the others waiting for ever. */
const writeWithinMs = 10_000;

interface Entry {
  write: (signal: AbortSignal) => Promise<void>;
  failures: number;
  notBeforeMs: number;
}

export function writeQueue({ clock, random, onFailure, isFinal, signal }: WriteQueueOptions): WriteQueue {
  const entries = new Map<string, Entry>();
  let isWriting = false;
  let timer: Disposable | undefined;
  let isClosed = false;

  const next = (): void => {
    timer?.[Symbol.dispose]();
    timer = undefined;
    if (isWriting || isClosed || signal.aborted) return;
    const nowMs = clock.monotonicMs();
    let soonestMs = Number.POSITIVE_INFINITY;
    for (const [key, entry] of entries) {
      if (entry.notBeforeMs <= nowMs) {
        void perform(key, entry);
        return;
      }
      soonestMs = Math.min(soonestMs, entry.notBeforeMs);
    }
    if (soonestMs < Number.POSITIVE_INFINITY) timer = clock.timer(soonestMs - nowMs, next);
  };

  const perform = async (key: string, entry: Entry): Promise<void> => {
    isWriting = true;
    const { write } = entry;
    try {
      await inTime({ limitMs: writeWithinMs, clock, signal }, `no answer within ${String(writeWithinMs)} ms`, write);
      if (entries.get(key)?.write === write) entries.delete(key);
      else entry.failures = 0;
    } catch (error) {
      entry.failures += 1;
      entry.notBeforeMs = clock.monotonicMs() + backoffDelayMs(pace, entry.failures, random);
      if (!signal.aborted) onFailure(key, messageOf(error), entry.failures);
      if (isFinal(error) && entries.get(key)?.write === write) entries.delete(key);
      // Others have their turn before it.
      else if (entries.get(key) === entry) {
        entries.delete(key);
        entries.set(key, entry);
      }
    } finally {
      isWriting = false;
      next();
    }
  };

  return {
    put(key, write) {
      const entry = entries.get(key);
      if (entry === undefined) entries.set(key, { write, failures: 0, notBeforeMs: 0 });
      else entry.write = write;
      next();
    },
    forget: (key) => void entries.delete(key),
    get waiting() {
      return entries.size;
    },
    [Symbol.dispose]() {
      isClosed = true;
      timer?.[Symbol.dispose]();
    },
  };
}
