/**
 * While etcd does not run and kube-apiserver does, somebody stands in at the socket between them
 * (cluster/etcd/etcd-stand-in), so that the API serves again as soon as etcd does. A server
 * without etcd has a balancer in its place, which holds connections likewise.
 */
import { etcdStandIn } from '../cluster/etcd/etcd-stand-in.ts';
import type { Executor } from '../executor/executor-api.ts';
import type { Clock } from '../kernel/clock.ts';
import type { UnitSnapshot, UnitStateName } from '../unit/state.ts';

export interface StandInForEtcdOptions {
  /** Where etcd listens for kube-apiserver. */
  readonly socketPath: string;
  readonly executor: Pick<Executor, 'graph' | 'unit'>;
  readonly clock: Clock;
  readonly notice: (text: string) => void;
}

/** The states between two runs: the last one was found empty, and the next one has not begun. */
const isBetweenRuns = (state: UnitStateName): boolean => state === 'backoff' || state === 'failed';
const isRunning = ({ state }: UnitSnapshot): boolean =>
  state === 'starting' || state === 'ready' || state === 'unhealthy';

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
  let last: UnitStateName | undefined;
  const etcdChanged = etcd.subscribe(({ state }) => {
    if (state === last) return;
    last = state;
    if (state === 'ready') standIn.sendOn();
    else if (isBetweenRuns(state) && isRunning(apiServer.current) && isReachedBySocket()) standIn.take();
  });
  const apiServerChanged = apiServer.subscribe((snapshot) => {
    // It waits for what it was asked before it ends: refused, nobody has to.
    if (!isRunning(snapshot)) standIn.refuse();
  });
  return {
    [Symbol.dispose]() {
      etcdChanged[Symbol.dispose]();
      apiServerChanged[Symbol.dispose]();
      standIn[Symbol.dispose]();
    },
  };
}
