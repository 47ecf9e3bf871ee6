/** Cancellation by AbortSignal without leaks: every listener added here can be taken off again. */

/** The reason of an aborted signal as an Error, so that it can always be thrown. */
export function abortError(signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  return reason instanceof Error ? reason : new Error(String(reason));
}

/** Calls `run` once when `signal` aborts (at once if it already has); disposing takes the listener off. */
export function onAbort(signal: AbortSignal, run: () => void): Disposable {
  if (signal.aborted) {
    run();
    return { [Symbol.dispose]: () => undefined };
  }
  signal.addEventListener('abort', run, { once: true });
  return {
    [Symbol.dispose]: () => {
      signal.removeEventListener('abort', run);
    },
  };
}

export interface LinkedAbort extends Disposable {
  readonly signal: AbortSignal;
  abort(reason: Error): void;
}

/**
 * A controller that also aborts when one of `parents` does. Dispose it when the work has ended:
 * long-lived `AbortSignal.any` leaks its sources on Node 20 (measured), explicit unlinking does not.
 */
export function linkedAbort(...parents: readonly (AbortSignal | undefined)[]): LinkedAbort {
  const controller = new AbortController();
  const links: Disposable[] = [];
  const unlink = () => {
    for (const link of links.splice(0)) link[Symbol.dispose]();
  };
  for (const parent of parents) {
    if (parent === undefined) continue;
    links.push(
      onAbort(parent, () => {
        controller.abort(abortError(parent));
        unlink();
      }),
    );
  }
  return {
    signal: controller.signal,
    abort(reason) {
      controller.abort(reason);
      unlink();
    },
    [Symbol.dispose]: unlink,
  };
}

/** Settles like `promise`, or rejects with the signal's reason if that aborts first. The promise itself goes on. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise<T>((resolve, reject) => {
    const listener = onAbort(signal, () => {
      reject(abortError(signal));
    });
    promise.then(resolve, reject).finally(() => {
      listener[Symbol.dispose]();
    });
  });
}
