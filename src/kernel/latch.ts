/**
 * A value that can be read at any time and watched: a late reader sees the present value first, a
 * slow asynchronous reader skips to the newest (conflating). Never an EventEmitter in a signature.
 */
import { abortError, onAbort } from './abort.ts';

export interface Latch<T> extends AsyncIterable<T> {
  readonly current: T;
  /**
   * Calls `listener` with the present value now and with each later one. What it throws then is an uncaught exception
   * of its own turn, as with an EventTarget: who sets the value goes on.
   */
  subscribe(listener: (value: T) => void): Disposable;
  /** Resolves with the first value, present or later, that `accept` takes; rejects when `signal` aborts or `accept` throws. */
  when(accept: (value: T) => boolean, options?: { readonly signal?: AbortSignal }): Promise<T>;
}

export interface WritableLatch<T> extends Latch<T> {
  set(value: T): void;
}

export function latch<T>(initial: T): WritableLatch<T> {
  let current = initial;
  const listeners = new Set<(value: T) => void>();

  const subscribe = (listener: (value: T) => void): Disposable => {
    listeners.add(listener);
    listener(current);
    return { [Symbol.dispose]: () => void listeners.delete(listener) };
  };

  const when: Latch<T>['when'] = (accept, { signal } = {}) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(abortError(signal));
        return;
      }
      if (accept(current)) {
        resolve(current);
        return;
      }
      const abort =
        signal &&
        onAbort(signal, () => {
          listeners.delete(check);
          reject(abortError(signal));
        });
      const check = (value: T) => {
        const settle = (how: () => void) => {
          listeners.delete(check);
          abort?.[Symbol.dispose]();
          how();
        };
        try {
          if (accept(value)) settle(() => resolve(value));
        } catch (error) {
          settle(() => reject(error instanceof Error ? error : new Error(String(error))));
        }
      };
      listeners.add(check);
    });

  return {
    get current() {
      return current;
    },
    set(value) {
      current = value;
      for (const listener of [...listeners]) tell(listener, value);
    },
    subscribe,
    when,
    async *[Symbol.asyncIterator]() {
      let seen: T = current;
      yield seen;
      for (;;) {
        const last = seen;
        seen = await when((value) => value !== last);
        yield seen;
      }
    },
  };
}

function tell<T>(listener: (value: T) => void, value: T): void {
  try {
    listener(value);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
