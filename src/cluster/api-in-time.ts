/** A limit for what is asked of the API, which may hang where its leader of etcd has just died. */
import { linkedAbort } from '../kernel/abort.ts';
import type { Clock } from '../kernel/clock.ts';

export interface ApiLimit {
  readonly limitMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** @throws what `ask` rejects with; when that hangs, too */
export async function apiInTime<T>(
  { limitMs, clock, signal }: ApiLimit,
  ask: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  using limit = linkedAbort(signal);
  using _timer = clock.timer(limitMs, () => limit.abort(new Error('the API did not answer in time')));
  return await ask(limit.signal);
}
