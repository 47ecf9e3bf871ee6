/** The loop on an API of this test's own, in which servers and kubelets take turns; time is a number. */
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { KubeApiError } from '../../../src/cluster/kube-client.ts';
import {
  keepNodeConditions,
  type NodeConditionsClient,
} from '../../../src/cluster/node-lifecycle/keep-node-conditions.ts';
import { sleep } from '../../../src/kernel/clock.ts';
import { fakeClock } from '../../kit/fake-clock.ts';
import { randomFrom } from '../../kit/random.ts';

const graceMs = 50_000;
const written = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string() }),
  status: z.object({ conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })) }),
});

function scene({ servers = 2, seed = 1 }: { servers?: number; seed?: number } = {}) {
  const clock = fakeClock();
  const random = randomFrom(seed);
  let revision = 100;
  const nodes = new Map<string, z.infer<typeof written>>();
  const leases = new Map<string, { version: number; seconds: number }>();
  const state = { isAway: false, isFull: false, denied: undefined as KubeApiError | undefined };
  const requests: string[] = [];
  const events: unknown[] = [];
  /** "s1 Unknown at 60". */
  const changes: string[] = [];
  const lines: string[] = [];
  const dead = new Set<string>();
  const end = new AbortController();

  const note = (name: string, status: string) =>
    changes.push(`${name} ${status} at ${String(Math.round(clock.monotonicMs() / 1000))}`);
  const renew = (name: string, seconds: number) => {
    if (!state.isAway && !state.isFull) leases.set(name, { version: (revision += 1), seconds });
  };
  /** As a kubelet posts it. */
  const setReady = (name: string) => {
    const metadata = { name, resourceVersion: String((revision += 1)) };
    nodes.set(name, { metadata, status: { conditions: [{ type: 'Ready', status: 'True' }] } });
  };
  const every = async (ms: number, run: () => void) => {
    for (;;) {
      await sleep(clock, ms, end.signal);
      run();
    }
  };
  const running: Promise<unknown>[] = [];
  const begin = (loop: Promise<unknown>) => running.push(loop.catch((error: unknown) => error));
  for (const name of ['n1', 'n2', 'n3']) {
    setReady(name);
    begin(every(10_000, () => dead.has(name) || renew(name, 40)));
  }
  begin(every(2_000, () => dead.has('controllers') || renew('kube-controller-manager', 15)));
  // Of API servers, each of which says that it lives.
  begin(every(10_000, () => (revision += state.isAway || state.isFull ? 0 : 1)));

  const client = (): NodeConditionsClient => {
    const answer = async (what: string, signal: AbortSignal) => {
      requests.push(what);
      await sleep(clock, 5 + 200 * random(), signal);
      if (state.isAway) throw new Error('connect ECONNREFUSED');
      if (state.isFull && !what.startsWith('GET')) throw new KubeApiError(what, 500, '', 'no space');
    };
    return {
      async get(path, signal) {
        await answer(`GET ${path}`, signal);
        const name = path.split('/').at(-1) ?? '';
        if (path.includes('/nodes/')) {
          const node = nodes.get(name);
          if (node === undefined) throw new KubeApiError('GET', 404, 'NotFound', 'no such node');
          return node;
        }
        const isController = path.includes('kube-system');
        const all = [...leases].filter(([key]) => (key === 'kube-controller-manager') === isController);
        const items = all.map(([key, { version, seconds }]) => ({
          metadata: { name: key, resourceVersion: String(version) },
          spec: { leaseDurationSeconds: seconds },
        }));
        return { metadata: { resourceVersion: String(revision) }, items };
      },
      async replace(path, body, signal) {
        await answer(`PUT ${path}`, signal);
        if (state.denied !== undefined) throw state.denied;
        const name = path.split('/').at(-2) ?? '';
        const node = written.parse(body);
        if (node.metadata.resourceVersion !== nodes.get(name)?.metadata.resourceVersion) {
          throw new KubeApiError('PUT', 409, 'Conflict', 'it has changed');
        }
        nodes.set(name, { ...node, metadata: { ...node.metadata, resourceVersion: String((revision += 1)) } });
        note(name, node.status.conditions.map(({ status }) => status).join());
        return {};
      },
      async create(path, body, signal) {
        await answer(`POST ${path}`, signal);
        events.push(body);
        return {};
      },
      [Symbol.dispose]: () => undefined,
    };
  };
  for (let index = 1; index <= servers; index += 1) {
    begin(
      keepNodeConditions({
        connect: () => Promise.resolve(client()),
        ...{
          graceMs,
          clock,
          random,
          signal: end.signal,
          log: (line) => lines.push(`server ${String(index)}: ${line}`),
        },
      }),
    );
  }
  const close = async () => {
    end.abort(new Error('the test is over'));
    for (const ended of await Promise.all(running)) expect(ended).toMatchObject({ message: 'the test is over' });
    expect(clock.pendingTimers).toBe(0);
  };
  return { clock, state, dead, nodes, leases, requests, events, changes, lines, setReady, close };
}

const secondOf = (change: string | undefined) => Number(change?.split(' at ')[1]);

describe('with a controller-manager that lives', () => {
  test('nothing is written, whoever is silent, and little is asked', async () => {
    const { clock, dead, changes, events, requests, lines, close } = scene({ servers: 1 });
    await clock.advance(20_000);
    dead.add('n3');
    await clock.advance(600_000);
    expect({ changes, events, lines }).toEqual({ changes: [], events: [], lines: [] });
    expect(new Set(requests).size).toBe(1);
    expect(requests.length).toBeGreaterThan(55);
    expect(requests.length).toBeLessThan(70);
    await close();
  });
});

describe('without one', () => {
  test.each([1, 2, 3, 4])(
    'a node that dies with it is called Ready for little longer than the grace (%i)',
    async (seed) => {
      const { clock, dead, changes, events, lines, close } = scene({ seed });
      await clock.advance(30_000 + seed * 1700);
      const cutMs = clock.monotonicMs();
      dead.add('controllers').add('n3');
      await clock.advance(49_000 - 10_000);
      expect(changes).toEqual([]);
      await clock.advance(300_000);
      expect(changes).toHaveLength(1);
      expect(changes[0]).toContain('n3 Unknown');
      // Its Lease may have been renewed 10 s before; then a look's pause at rest, and one while watching.
      const afterMs = secondOf(changes[0]) * 1000 - cutMs;
      expect(afterMs).toBeGreaterThan(graceMs - 11_000);
      expect(afterMs).toBeLessThan(graceMs + 18_000);
      expect(events).toEqual([expect.objectContaining({ reason: 'NodeNotReady' })]);
      expect(lines.filter((line) => line.includes('node n3 is not believed'))).toHaveLength(1);
      expect(lines.filter((line) => line.includes('no kube-controller-manager has renewed'))).toHaveLength(2);
      await close();
    },
  );

  test('one that dies later is found, and one that is back is left alone', async () => {
    const { clock, dead, changes, nodes, setReady, close } = scene();
    await clock.advance(30_000);
    dead.add('controllers');
    await clock.advance(100_000);
    dead.add('n2');
    await clock.advance(70_000);
    expect(changes).toHaveLength(1);
    dead.delete('n2');
    setReady('n2');
    await clock.advance(200_000);
    expect(changes).toHaveLength(1);
    expect(nodes.get('n2')?.status.conditions).toEqual([{ type: 'Ready', status: 'True' }]);
    dead.add('n2');
    await clock.advance(70_000);
    expect(changes).toHaveLength(2);
    await close();
  });

  test('once one lives, nothing more is written, and it is said', async () => {
    const { clock, dead, changes, lines, close } = scene({ servers: 1 });
    await clock.advance(30_000);
    dead.add('controllers');
    await clock.advance(60_000);
    dead.delete('controllers');
    dead.add('n1');
    await clock.advance(200_000);
    expect(changes).toEqual([]);
    expect(lines.at(-1)).toBe('server 1: a kube-controller-manager lives: nodes are judged by it again');
    await close();
  });

  test.each(['isAway', 'isFull'] as const)('after an outage (%s) all have time to renew', async (what) => {
    const { clock, dead, changes, state, close } = scene();
    await clock.advance(30_000);
    dead.add('controllers');
    await clock.advance(60_000);
    state[what] = true;
    await clock.advance(90_000);
    state[what] = false;
    await clock.advance(120_000);
    expect(changes).toEqual([]);
    dead.add('n1');
    await clock.advance(70_000);
    expect(changes).toHaveLength(1);
    await close();
  });

  test.each([0, 5_000, 15_000, 40_000])(
    'an API that is away for a moment (after %i ms) delays it little',
    async (afterMs) => {
      const { clock, dead, changes, state, close } = scene();
      await clock.advance(30_000);
      const cutMs = clock.monotonicMs();
      dead.add('controllers').add('n3');
      await clock.advance(afterMs);
      state.isAway = true;
      await clock.advance(7_000);
      state.isAway = false;
      await clock.advance(graceMs + 20_000 - clock.monotonicMs() + cutMs);
      expect(changes).toHaveLength(1);
      await close();
    },
  );

  test('a status that is posted without a Lease counts for the grace', async () => {
    const { clock, dead, changes, setReady, close } = scene({ servers: 1 });
    await clock.advance(30_000);
    dead.add('controllers').add('n1');
    await clock.advance(70_000);
    expect(changes).toHaveLength(1);
    setReady('n1');
    await clock.advance(30_000);
    expect(changes).toHaveLength(1);
    await clock.advance(40_000);
    expect(changes).toHaveLength(2);
    await close();
  });

  test('a node that the API refuses to mark keeps no other from it; a node without an object is none', async () => {
    const { clock, dead, changes, nodes, state, lines, close } = scene({ servers: 1 });
    await clock.advance(30_000);
    nodes.delete('n2');
    state.denied = new KubeApiError('PUT', 403, 'Forbidden', 'not today');
    dead.add('controllers').add('n1').add('n2').add('n3');
    await clock.advance(120_000);
    expect(changes).toEqual([]);
    const refused = lines.filter((line) => line.includes('not today'));
    expect(refused).toHaveLength(1);
    expect(refused[0]).toMatch(/node n1 cannot be marked.*node n3 cannot be marked/);
    state.denied = undefined;
    await clock.advance(10_000);
    expect(changes).toHaveLength(2);
    await close();
  });
});
