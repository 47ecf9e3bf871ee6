/**
 * Tries several ways to the same thing, the best first: the next one is begun when the last has
 * failed or has been silent for a while, and the first that succeeds wins. Source: RFC 8305, "Happy
 * Eyeballs". A way that swallows everything costs a fraction of a second and not a time limit.
 */
import { abortError, linkedAbort, onAbort } from './abort.ts';
import type { Clock } from './clock.ts';

export interface StaggeredRaceOptions<C, T> {
  /** In order of preference. */
  readonly candidates: readonly C[];
  /** Ends when `signal` aborts: another candidate has won, or nobody wants it any more. */
  readonly attempt: (candidate: C, signal: AbortSignal) => Promise<T>;
  /** Until the next candidate is begun while the last is silent. */
  readonly staggerMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export interface RaceFailure<C> {
  readonly candidate: C;
  readonly error: unknown;
}

export type RaceResult<C, T> =
  | { readonly ok: true; readonly candidate: C; readonly value: T; readonly failures: readonly RaceFailure<C>[] }
  /** One failure for each candidate, in the order in which they came. */
  | { readonly ok: false; readonly failures: readonly RaceFailure<C>[] };

/** @throws the reason of `signal` when that aborts. No attempt, timer or listener is left behind. */
export async function staggeredRace<C, T>(options: StaggeredRaceOptions<C, T>): Promise<RaceResult<C, T>> {
  const { candidates, attempt, staggerMs, clock, signal } = options;
  const end = linkedAbort(signal);
  const failures: RaceFailure<C>[] = [];
  let next = 0;
  let stagger: Disposable | undefined;
  try {
    return await new Promise<RaceResult<C, T>>((resolve, reject) => {
      onAbort(end.signal, () => {
        reject(abortError(end.signal));
      });
      const begin = () => {
        stagger?.[Symbol.dispose]();
        if (end.signal.aborted) return;
        if (next >= candidates.length) {
          if (failures.length === candidates.length) resolve({ ok: false, failures: [...failures] });
          return;
        }
        const candidate = candidates[next] as C;
        next += 1;
        stagger = clock.timer(staggerMs, begin);
        attempt(candidate, end.signal).then(
          (value) => {
            resolve({ ok: true, candidate, value, failures: [...failures] });
          },
          (error: unknown) => {
            failures.push({ candidate, error });
            begin();
          },
        );
      };
      begin();
    });
  } finally {
    stagger?.[Symbol.dispose]();
    end.abort(new Error('the race is over'));
    end[Symbol.dispose]();
  }
}
