/** A limit for what is asked of the API, which may hang where its leader of etcd has just died. */
import { inTime, type TimeLimit } from '../kernel/in-time.ts';

/** @throws what `ask` rejects with; when that hangs, too */
export const apiInTime = <T>(limit: TimeLimit, ask: (signal: AbortSignal) => Promise<T>): Promise<T> =>
  inTime(limit, 'the API did not answer in time', ask);
