/**
 * While etcd does not run and kube-apiserver does, somebody stands in at the socket between them
 * (cluster/etcd/etcd-stand-in), so that the API serves again as soon as etcd does. A server
 * without etcd has a balancer in its place, which holds connections likewise.
 *
 * Nobody stands in for an etcd that is starting: the socket is its own then. Where that takes minutes (no quorum),
 * kube-apiserver is restarted once etcd is ready (long-start-of-etcd).
 */
import { etcdStandIn } from '../cluster/etcd/etcd-stand-in.ts';
import type { Executor } from '../executor/executor-api.ts';
import type { Clock } from '../kernel/clock.ts';
import { formatDurationMs } from '../kernel/duration.ts';
import { messageOf } from '../kernel/message-of.ts';
import type { UnitStateName } from '../unit/state.ts';
import { awaitedStart, isRunning, triedForTooLongMs, type AwaitedStart } from './long-start-of-etcd.ts';

export interface StandInForEtcdOptions {
  /** Where etcd listens for kube-apiserver. */
  readonly socketPath: string;
  readonly executor: Pick<Executor, 'graph' | 'unit' | 'restartUnits'>;
  readonly clock: Clock;
  readonly notice: (text: string) => void;
}

/** The states between two runs: the last one was found empty, and the next one has not begun. */
const isBetweenRuns = (state: UnitStateName): boolean => state === 'backoff' || state === 'failed';

/** For as long as it is not disposed. */
export function standInForEtcd({ socketPath, executor, clock, notice }: StandInForEtcdOptions): Disposable {
  if (!['etcd', 'kube-apiserver'].every((unit) => executor.graph.has(unit)))
    return { [Symbol.dispose]: () => undefined };
  const [etcd, apiServer] = [executor.unit('etcd'), executor.unit('kube-apiserver')];
  const standIn = etcdStandIn({
    socketPath,
    clock,
    onTrouble: (reason) =>
      notice(`nobody stands in for etcd at ${socketPath} (${reason}): the API may be late after it`),
  });
  /** Asked each time: a reload may change it. */
  const isReachedBySocket = () =>
    executor.graph.unit('kube-apiserver').flags['etcd-servers'] === `unix://${socketPath}`;
  const restartApiServer = (triedMs: number) => {
    notice(
      `etcd was starting for ${formatDurationMs(triedMs)}: kube-apiserver is restarted, ` +
        'for its connections to etcd would pause for up to two minutes more',
    );
    try {
      executor.restartUnits(['kube-apiserver']);
    } catch (error) {
      notice(`kube-apiserver is not restarted: ${messageOf(error)}`);
    }
  };
  let last: UnitStateName = 'inactive';
  const seen = () => ({ etcd: last, apiServer: apiServer.current, nowMs: clock.monotonicMs() });
  let awaited: AwaitedStart | undefined;
  let restart: Disposable | undefined;
  const etcdChanged = etcd.subscribe(({ state }) => {
    if (state === last) return;
    last = state;
    const triedMs = triedForTooLongMs(awaited, seen());
    awaited = awaitedStart(awaited, seen());
    // In a turn of its own: the units are being told of this one.
    if (triedMs !== undefined && isReachedBySocket()) restart = clock.soon(() => restartApiServer(triedMs));
    if (state === 'ready') standIn.sendOn();
    else if (isBetweenRuns(state) && isRunning(apiServer.current) && isReachedBySocket()) standIn.take();
  });
  const apiServerChanged = apiServer.subscribe((snapshot) => {
    awaited = awaitedStart(awaited, seen());
    // It waits for what it was asked before it ends: refused, nobody has to.
    if (!isRunning(snapshot)) standIn.refuse();
  });
  return {
    [Symbol.dispose]() {
      restart?.[Symbol.dispose]();
      etcdChanged[Symbol.dispose]();
      apiServerChanged[Symbol.dispose]();
      standIn[Symbol.dispose]();
    },
  };
}
