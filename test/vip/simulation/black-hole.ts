/** The scenario of the reference: the holder's calls to the API hang, and nothing else is wrong. */
import { randomFrom } from '../../kit/random.ts';
import type { Election } from '../../../src/vip/model.ts';
import { checkTiming, type LeaseTimes } from '../../../src/vip/coordination/timing.ts';
import { EventQueue, localClock } from './events.ts';
import { FakeApi } from './fake-api.ts';
import { SimNode, type NodeWorld } from './sim-node.ts';

const address = '10.0.0.1';

/** @returns when the old holder has fallen silent and when the new one began to answer, since its calls hang */
export function blackHole({
  seed,
  times,
  election = 'coordinator',
}: {
  readonly seed: number;
  readonly times: LeaseTimes;
  readonly election?: Election;
}): {
  readonly silentAfterMs: number;
  readonly takenAfterMs: number;
} {
  const checked = checkTiming(times, { withdrawMs: 20, timerErrorMs: 10, driftRate: 0.001 });
  if (!checked.ok) throw new Error('the times are refused');
  const random = randomFrom(seed);
  const queue = new EventQueue();
  const world: NodeWorld = {
    queue,
    api: new FakeApi(queue, random),
    random,
    timing: checked.value,
    bug: undefined,
    electionOf: () => election,
    wanted: {
      addresses: [{ address, weight: 1 }],
      nodes: new Map(),
      policy: { mayRebalance: false, startAbove: 1, stopBelow: 1, restMs: 0, movesAtOnce: 1, movesPerHour: 1 },
    },
    onSpeak: () => undefined,
  };
  const nodes = ['a', 'b', 'c'].map((name) => new SimNode(name, localClock(queue, random() * 1e6, 1), world));
  for (const node of nodes) node.start();
  const speakers = () => nodes.filter(({ kernel }) => kernel.speaks(address, queue.nowMs));
  const until = (holds: () => boolean) => {
    while (!holds()) {
      if (queue.nowMs > 10 * times.leaseDurationMs) throw new Error('it does not come to that');
      queue.runUntil(queue.nowMs + 1);
    }
  };
  until(() => speakers().length === 1);
  queue.runUntil(queue.nowMs + (2 + random()) * times.retryPeriodMs);
  const [holder] = speakers();
  if (holder === undefined) throw new Error('nobody holds it');
  const fromMs = queue.nowMs;
  holder.link.cut = 'both';
  until(() => !holder.kernel.speaks(address, queue.nowMs));
  const silentAfterMs = queue.nowMs - fromMs;
  until(() => speakers().length === 1);
  return { silentAfterMs, takenAfterMs: queue.nowMs - fromMs };
}
