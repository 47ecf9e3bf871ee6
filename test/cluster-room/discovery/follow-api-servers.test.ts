import { afterEach, expect, test } from 'vitest';
import { askEveryMs, followApiServers, settleMs } from '../../../src/cluster/discovery/follow-api-servers.ts';
import type { KubeClient, WatchEvent } from '../../../src/cluster/kube-client.ts';
import { deferred, type Deferred } from '../../../src/kernel/deferred.ts';
import { fakeClock, type FakeClock } from '../../kit/fake-clock.ts';

const event = (hosts: readonly string[]): WatchEvent => ({
  type: 'MODIFIED',
  object: {
    metadata: { name: 'kubernetes' },
    endpoints: hosts.map((host) => ({ addresses: [host] })),
    ports: [{ port: 6443 }],
  },
});

/** What the API and the join servers say, told by a test. */
class Cluster {
  readonly clock: FakeClock = fakeClock();
  readonly lists: string[] = [];
  readonly lines: string[] = [];
  readonly end = new AbortController();
  isApiReachable = true;
  told: readonly string[] | Error;
  asked = 0;
  connected = 0;
  #events: WatchEvent[] = [];
  #more: Deferred<void> = deferred();
  #broken: Error | undefined;
  readonly done: Promise<unknown>;

  constructor(told: readonly string[] | Error) {
    this.told = told;
    this.done = followApiServers({
      connect: () => {
        this.connected += 1;
        return Promise.resolve(this.#client());
      },
      ask: () => {
        this.asked += 1;
        return this.told instanceof Error ? Promise.reject(this.told) : Promise.resolve(this.told);
      },
      isApiReachable: () => this.isApiReachable,
      update: (servers) => this.lists.push(servers.join(' ')),
      clock: this.clock,
      random: () => 0.5,
      log: (line) => this.lines.push(line),
      signal: this.end.signal,
    }).catch((error: unknown) => error);
  }

  async tell(...hosts: readonly string[]): Promise<void> {
    this.#events.push(event(hosts));
    this.#more.resolve();
    await this.clock.settle();
  }

  async break(error: Error): Promise<void> {
    this.#broken = error;
    this.#more.resolve();
    await this.clock.settle();
  }

  #client(): KubeClient {
    const watch = async function* (this: Cluster): AsyncGenerator<WatchEvent> {
      for (;;) {
        for (const each of this.#events.splice(0)) yield each;
        const broken = this.#broken;
        this.#broken = undefined;
        if (broken !== undefined) throw broken;
        this.#more = deferred();
        await this.#more.promise;
      }
    }.bind(this);
    const notAsked = () => Promise.reject(new Error('nobody asks for that'));
    return {
      get: notAsked,
      create: notAsked,
      replace: notAsked,
      apply: notAsked,
      delete: notAsked,
      watch,
      [Symbol.dispose]: () => undefined,
    };
  }
}

let cluster: Cluster | undefined;
afterEach(async () => {
  cluster?.end.abort(new Error('the test is over'));
  await cluster?.done;
});
const started = async (told: readonly string[] | Error = []) => {
  cluster = new Cluster(told);
  await cluster.clock.settle();
  return cluster;
};

test('[H1] the first list is handed over at once, a change when it has settled', async () => {
  const at = await started();
  await at.tell('10.0.0.1');
  expect(at.lists).toEqual(['10.0.0.1:6443']);
  await at.tell('10.0.0.1', '10.0.0.2');
  // One that starts leaves again and comes back: nothing of that is of interest.
  await at.tell('10.0.0.1');
  await at.tell('10.0.0.1', '10.0.0.2', '10.0.0.3');
  expect(at.lists).toHaveLength(1);
  await at.clock.advance(settleMs);
  expect(at.lists).toEqual(['10.0.0.1:6443', '10.0.0.1:6443 10.0.0.2:6443 10.0.0.3:6443']);
});

test('[H1] while the API tells, the join servers are asked seldom, and what they say takes nobody in', async () => {
  const at = await started(['10.0.0.1:6443']);
  expect(at.lists).toEqual(['10.0.0.1:6443']);
  await at.tell('10.0.0.1');
  at.told = ['10.0.0.1:6443', '10.0.0.9:6443'];
  await at.clock.advance(askEveryMs.reachable + settleMs);
  expect(at.asked).toBe(2);
  expect(at.lists).toEqual(['10.0.0.1:6443']);
});

test('[H1] when no API server answers any more, the join servers are asked often, and whom they know is added', async () => {
  const at = await started(['10.0.0.1:6443']);
  await at.tell('10.0.0.1');
  at.isApiReachable = false;
  await at.clock.advance(askEveryMs.reachable);
  at.told = ['10.0.0.2:6443'];
  await at.clock.advance(askEveryMs.unreachable + settleMs);
  expect(at.lists.at(-1)).toBe('10.0.0.1:6443 10.0.0.2:6443');
  at.isApiReachable = true;
  await at.tell('10.0.0.2');
  await at.clock.advance(settleMs);
  expect(at.lists.at(-1)).toBe('10.0.0.2:6443');
});

test('[L7] an empty answer, or none, hands nothing over', async () => {
  const at = await started(new Error('no server of the cluster can be asked'));
  await at.tell();
  await at.clock.advance(settleMs);
  expect(at.lists).toEqual([]);
  expect(at.lines).toEqual(['no join server tells of servers: no server of the cluster can be asked']);
  await at.clock.advance(10 * askEveryMs.reachable);
  expect(at.lines).toHaveLength(1);
});

test('[H4] a watch that is refused is begun anew with other credentials, and why is said once', async () => {
  const at = await started();
  await at.tell('10.0.0.1');
  await at.break(new Error('401 Unauthorized'));
  await at.clock.advance(1_000);
  await at.break(new Error('401 Unauthorized'));
  await at.clock.advance(10_000);
  expect(at.connected).toBe(3);
  expect(at.lines).toEqual(['the API servers cannot be watched: 401 Unauthorized']);
  await at.tell('10.0.0.1', '10.0.0.2');
  await at.clock.advance(settleMs);
  expect(at.lists.at(-1)).toBe('10.0.0.1:6443 10.0.0.2:6443');
});

test('its end leaves no timer behind', async () => {
  const at = await started();
  await at.tell('10.0.0.1');
  await at.tell('10.0.0.2');
  at.end.abort(new Error('stop'));
  expect(await at.done).toMatchObject({ message: 'stop' });
  expect(at.clock.pendingTimers).toBe(0);
});
