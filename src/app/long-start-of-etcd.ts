/**
 * Whether kube-apiserver has tried for too long to reach an etcd that was starting. Pure.
 *
 * In a cluster without a quorum etcd has bound its socket and serves nobody, for as long as that lasts. Nobody can stand
 * in for it then, and each of kube-apiserver's connections pauses for longer and longer between its attempts (gRPC: to
 * 120 s at most), also when etcd has long been ready. A restart of
 * kube-apiserver takes what its stop (10 s at most) and its start take.
 */
import type { UnitSnapshot, UnitStateName } from '../unit/state.ts';

/** Attempts of 20 s and pauses of 1.0, 1.7, 2.5, 4.9 and 7.7 s are over by then (measured with grpc-go 1.79). */
export const longStartMs = 120_000;

export type ApiServer = Pick<UnitSnapshot, 'state' | 'desired' | 'generation'>;

/** A start of etcd that has not ended, and the run of kube-apiserver that waits for it. */
export interface AwaitedStart {
  readonly sinceMs: number;
  readonly generation: number;
}

export interface EtcdSeen {
  readonly etcd: UnitStateName;
  readonly apiServer: ApiServer;
  /** Monotonic. */
  readonly nowMs: number;
}

/** Its process is there. */
export const isRunning = ({ state }: Pick<UnitSnapshot, 'state'>): boolean =>
  state === 'starting' || state === 'ready' || state === 'unhealthy';

/** @returns what to remember of a start that goes on; undefined when none does, or kube-apiserver does not wait for it */
export function awaitedStart(
  before: AwaitedStart | undefined,
  { etcd, apiServer, nowMs }: EtcdSeen,
): AwaitedStart | undefined {
  if (etcd !== 'starting' || !isRunning(apiServer)) return undefined;
  const { generation } = apiServer;
  return before?.generation === generation ? before : { sinceMs: nowMs, generation };
}

/** @returns for how long the present run of kube-apiserver has tried, if it is to be restarted, in milliseconds */
export function triedForTooLongMs(
  before: AwaitedStart | undefined,
  { etcd, apiServer, nowMs }: EtcdSeen,
): number | undefined {
  if (etcd !== 'ready' || before === undefined) return undefined;
  // One that began meanwhile, even if only just now, has no pauses; one that somebody stops needs none.
  if (apiServer.generation !== before.generation || !isRunning(apiServer) || apiServer.desired !== 'up')
    return undefined;
  const triedMs = nowMs - before.sinceMs;
  return triedMs > longStartMs ? triedMs : undefined;
}
