import { expect, test } from 'vitest';
import { followNodes, type NodesClient } from '../../src/cluster/follow-nodes.ts';
import type { WatchEvent } from '../../src/cluster/kube-client.ts';
import { deferred } from '../../src/kernel/deferred.ts';
import { fakeClock } from '../kit/fake-clock.ts';

const node = (name: string) => ({ metadata: { name } });

test('nodes whose watch was refused while their list was not are watched all the same, and not only looked at every minute', async () => {
  const clock = fakeClock();
  const end = new AbortController();
  const lists: number[] = [];
  const aways: string[] = [];
  const watched = deferred();
  let connections = 0;
  const client = (): NodesClient => {
    const isEarly = (connections += 1) < 4;
    return {
      get: () => Promise.resolve({ items: [node('a')] }),
      // eslint-disable-next-line @typescript-eslint/require-await -- as a client's is
      async *watch(): AsyncGenerator<WatchEvent> {
        if (isEarly) throw new Error('WATCH /api/v1/nodes: 403 not yet');
        watched.resolve();
        yield { type: 'ADDED', object: node('a') };
      },
      [Symbol.dispose]: () => undefined,
    };
  };
  const following = followNodes({
    connect: () => Promise.resolve(client()),
    digest: () => '',
    onNodes(nodes) {
      lists.push(nodes.length);
      return Promise.resolve();
    },
    onAway(reason, times) {
      aways.push(`${String(times)}: ${reason}`);
      return Promise.resolve();
    },
    rescanMs: 60_000,
    clock,
    signal: end.signal,
  });
  await clock.advance(10_000);
  await watched.promise;
  // As if the list had not been there: an API that refuses is asked more and more seldom.
  expect(aways).toEqual([1, 2, 3].map((times) => `${String(times)}: WATCH /api/v1/nodes: 403 not yet`));
  expect(connections).toBe(4);
  end.abort(new Error('enough'));
  await expect(following).rejects.toThrow('enough');
});
