/** A limit for what may hang. */
import { linkedAbort } from './abort.ts';
import type { Clock } from './clock.ts';

export interface TimeLimit {
  readonly limitMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * @param late - the message of the error with which the signal of `run` aborts at the limit
 * @throws what `run` rejects with
 */
export async function inTime<T>(
  { limitMs, clock, signal }: TimeLimit,
  late: string,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  using limit = linkedAbort(signal);
  using _timer = clock.timer(limitMs, () => limit.abort(new Error(late)));
  return await run(limit.signal);
}
