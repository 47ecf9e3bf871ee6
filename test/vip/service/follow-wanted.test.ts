import { expect, test } from 'vitest';
import type { WatchEvent } from '../../../src/cluster/kube-client.ts';
import { parseMaintenanceWindows } from '../../../src/vip/plan/voluntary-moves.ts';
import { apiServerNamesName } from '../../../src/vip/service/api-server-names.ts';
import { followWanted } from '../../../src/vip/service/follow-wanted.ts';
import type { ServiceApi } from '../../../src/vip/service/object-store.ts';
import { noWishes, wishesName, wishesObject, type Wishes } from '../../../src/vip/service/wishes.ts';
import { fakeClock, type FakeClock } from '../../kit/fake-clock.ts';

const never = (signal: AbortSignal) =>
  new Promise<never>((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('enough'))));

/** A cluster without Services, which says nothing more. */
const emptyCluster: ServiceApi = {
  get: () => Promise.resolve({ metadata: { resourceVersion: '1' }, items: [] }),
  async *watch(_path, _query, signal): AsyncGenerator<WatchEvent> {
    yield await never(signal);
  },
  apply: () => Promise.resolve({}),
  create: () => Promise.resolve({}),
  replace: () => Promise.resolve({}),
  delete: () => Promise.resolve(),
} as ServiceApi;

/** Nothing more happens in it than was listed first. */
function silentCluster(): ServiceApi {
  let lists = 0;
  return {
    ...emptyCluster,
    get(path, signal) {
      if (!path.includes('/configmaps/')) lists += 1;
      return lists <= 3 ? emptyCluster.get(path, signal) : never(signal);
    },
  };
}

/** With one address, and a window each night. */
const followIn = (api: ServiceApi, clock: FakeClock) =>
  followWanted({
    api,
    namespace: 'kube-system',
    fixed: ['10.1.2.3'],
    allocation: { pools: [], takesUnclassed: false },
    policy: { startAbove: 1, stopBelow: 1, restMs: 0, movesAtOnce: 1, movesPerHour: 1 },
    window: parseMaintenanceWindows(['0 2 * * * 1h']),
    log: () => undefined,
    clock,
    random: () => 0.5,
  });

test('voluntary moves may be made when a window opens, and no longer when it closes, without anything else happening', async () => {
  // 2026-01-01T00:00:00Z
  const clock = fakeClock();
  const end = new AbortController();
  let written: Wishes = noWishes;
  const api: ServiceApi = {
    ...emptyCluster,
    get: (path, signal) =>
      path.endsWith(wishesName)
        ? Promise.resolve(wishesObject('kube-system', written))
        : emptyCluster.get(path, signal),
  };
  const follower = followIn(api, clock);
  const changes: string[] = [];
  let last: boolean | undefined;
  const following = (async () => {
    // Services are listed anew now and then, which is no change.
    for await (const { policy } of follower.follow(end.signal)) {
      const { mayRebalance } = policy;
      if (mayRebalance !== last) {
        changes.push(`${new Date(clock.wallMs()).toISOString().slice(11, 16)} ${mayRebalance ? 'open' : 'closed'}`);
      }
      last = mayRebalance;
    }
  })();
  const hourMs = 3_600_000;
  await clock.advance(2.5 * hourMs);
  expect(changes).toEqual(['00:00 closed', '02:00 open']);
  expect(follower.window).toMatchObject({ isOpen: true });
  await clock.advance(hourMs);
  expect(changes.slice(2)).toEqual(['03:00 closed']);
  // Asked for by an operator.
  written = { ...follower.wishes, rebalanceUntilMs: clock.wallMs() + 60_000 };
  follower.wished(written);
  await clock.advance(120_000);
  expect(changes.slice(3)).toEqual(['03:30 open', '03:31 closed']);
  end.abort(new Error('enough'));
  await following.catch(() => undefined);
});

test('a window that opens while its change cannot be taken is told when it can', async () => {
  const clock = fakeClock();
  const end = new AbortController();
  const follower = followIn(silentCluster(), clock);
  const wanted = follower.follow(end.signal)[Symbol.asyncIterator]();
  expect(await clock.run(wanted.next())).toMatchObject({ value: { policy: { mayRebalance: false } } });
  await clock.advance(2.5 * 3_600_000);
  const next = wanted.next();
  await clock.advance(1);
  expect(await clock.run(next, 1000)).toMatchObject({ value: { policy: { mayRebalance: true } } });
  end.abort(new Error('enough'));
  await wanted.return?.();
});

test('nothing is wanted before it is known what servers have as the address of the API servers', async () => {
  const clock = fakeClock();
  const end = new AbortController();
  let answer: (object: unknown) => void = () => undefined;
  const api: ServiceApi = {
    ...emptyCluster,
    get: (path, signal) =>
      path.endsWith(apiServerNamesName) ? new Promise((resolve) => (answer = resolve)) : emptyCluster.get(path, signal),
  };
  const wanted = followIn(api, clock).follow(end.signal)[Symbol.asyncIterator]();
  let isTold = false;
  const first = wanted.next().finally(() => (isTold = true));
  await clock.advance(500);
  expect(isTold).toBe(false);
  answer({ data: { 's-1': '192.0.2.10' } });
  expect(await clock.run(first)).toMatchObject({ value: { apiServerVips: new Set(['192.0.2.10']) } });
  end.abort(new Error('enough'));
  await wanted.return?.();
});

test('what is asked of a node counts without a Node, and a drain is known of one that is not ready', async () => {
  const clock = fakeClock();
  const end = new AbortController();
  const node = {
    metadata: { name: 'b', resourceVersion: '1' },
    status: { conditions: [{ type: 'Ready', status: 'False' }] },
  };
  const follower = followIn(
    {
      ...emptyCluster,
      get: (path, signal) =>
        path.startsWith('/api/v1/nodes')
          ? Promise.resolve({ metadata: { resourceVersion: '1' }, items: [node] })
          : emptyCluster.get(path, signal),
    },
    clock,
  );
  const wanted = follower.follow(end.signal)[Symbol.asyncIterator]();
  await clock.run(wanted.next());
  expect(follower.wantedBy({ ...noWishes, draining: ['a', 'b'], cordoned: ['c'] }).nodes).toEqual(
    new Map([
      ['a', { state: 'draining', isDraining: true }],
      ['b', { state: 'unready', isDraining: true }],
      ['c', { state: 'cordoned' }],
    ]),
  );
  end.abort(new Error('enough'));
  await wanted.return?.();
});
