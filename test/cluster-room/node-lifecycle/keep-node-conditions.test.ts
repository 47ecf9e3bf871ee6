/** The loop on an API of this test's own, in which servers and kubelets take turns; time is a number. */
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { KubeApiError } from '../../../src/cluster/kube-client.ts';
import { keepNodeConditions } from '../../../src/cluster/node-lifecycle/keep-node-conditions.ts';
import type { NodeConditionsClient } from '../../../src/cluster/node-lifecycle/mark-node.ts';
import { sleep } from '../../../src/kernel/clock.ts';
import { fakeClock } from '../../kit/fake-clock.ts';
import { randomFrom } from '../../kit/random.ts';

const usualGraceMs = 50_000;
const written = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string() }),
  status: z.object({ conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })) }),
});
const writtenPod = written.extend({ spec: z.object({ nodeName: z.string() }) });

function scene({ servers = 2, seed = 1, graceMs = usualGraceMs, hasScheduler = false } = {}) {
  const clock = fakeClock();
  const random = randomFrom(seed);
  let revision = 100;
  const nodes = new Map<string, z.infer<typeof written>>();
  const leases = new Map<string, { version: number; seconds: number }>();
  const pods = new Map<string, z.infer<typeof writtenPod>>();
  const state = {
    isAway: false,
    isFull: false,
    denied: undefined as KubeApiError | undefined,
    /** How much slower the API is with this request. */
    slowMs: (_request: string) => 0,
    refused: (_request: string) => false,
  };
  const requests: string[] = [];
  const events: unknown[] = [];
  /** "s1 Unknown at 60". */
  const changes: string[] = [];
  /** "p1 False". */
  const podChanges: string[] = [];
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
  const addPod = (name: string, nodeName: string) => {
    const metadata = { name, namespace: 'default', resourceVersion: String((revision += 1)) };
    pods.set(name, { metadata, spec: { nodeName }, status: { conditions: [{ type: 'Ready', status: 'True' }] } });
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
  if (hasScheduler) begin(every(2_000, () => (revision += state.isAway || state.isFull ? 0 : 1)));
  // Of API servers, each of which says that it lives.
  begin(every(10_000, () => (revision += state.isAway || state.isFull ? 0 : 1)));

  const client = (): NodeConditionsClient => {
    const answer = async (what: string, signal: AbortSignal) => {
      requests.push(what);
      await sleep(clock, state.slowMs(what) + 5 + 200 * random(), signal);
      if (state.refused(what)) throw new KubeApiError(what, 500, '', 'etcd has no leader');
      if (state.isAway) throw new Error('connect ECONNREFUSED');
      if (state.isFull && !what.startsWith('GET')) throw new KubeApiError(what, 500, '', 'no space');
    };
    return {
      async get(path, signal) {
        await answer(`GET ${path}`, signal);
        const name = path.split('/').at(-1) ?? '';
        if (path.startsWith('/api/v1/pods?')) {
          const items = [...pods.values()].filter(({ spec }) => path.endsWith(`%3D${spec.nodeName}`));
          return { metadata: { resourceVersion: String(revision) }, items };
        }
        if (path.includes('/nodes/')) {
          const node = nodes.get(name);
          if (node === undefined) throw new KubeApiError('GET', 404, 'NotFound', 'no such node');
          return node;
        }
        const isController = path.includes('kube-system');
        const only = /metadata\.name%3D(.+)$/.exec(path)?.[1];
        const all = [...leases]
          .filter(([key]) => (key === 'kube-controller-manager') === isController)
          .filter(([key]) => only === undefined || key === only);
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
        if (path.includes('/pods/')) {
          const pod = writtenPod.parse(body);
          if (pod.metadata.resourceVersion !== pods.get(name)?.metadata.resourceVersion) {
            throw new KubeApiError('PUT', 409, 'Conflict', 'it has changed');
          }
          pods.set(name, { ...pod, metadata: { ...pod.metadata, resourceVersion: String((revision += 1)) } });
          podChanges.push(`${name} ${pod.status.conditions.map(({ status }) => status).join()}`);
          return {};
        }
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
  return {
    clock,
    state,
    dead,
    nodes,
    leases,
    requests,
    events,
    changes,
    lines,
    podChanges,
    setReady,
    renew,
    addPod,
    close,
  };
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

describe('with a short grace and without a controller-manager', () => {
  const graceMs = 20_000;
  /** A renewal and a look's pause until its Lease stands still, 25 s of that, and a look more; each with 0.4 s. */
  const boundMs = 2_000 + 5_900 + 25_000 + 5_900;

  test.each([0, 3_000, 9_000, 14_000, 21_000, 26_000])(
    'a node that dies with it is called Ready for 39 s at most, or 46 s when the API hangs for a look (after %i ms)',
    async (afterMs) => {
      await diesAndIsMarked({ afterMs, hangs: 0, withinMs: boundMs });
      // A look that hangs is given up after 5 s, and the next one follows 2 s later.
      await diesAndIsMarked({ afterMs, hangs: 1, withinMs: boundMs + 7_200 });
    },
  );

  async function diesAndIsMarked({
    afterMs,
    withinMs,
    ...hanging
  }: {
    afterMs: number;
    hangs: number;
    withinMs: number;
  }) {
    for (let seed = 1; seed <= 4; seed += 1) {
      const { clock, dead, changes, state, close } = scene({ servers: 1, seed, graceMs, hasScheduler: true });
      await clock.advance(30_000 + seed * 1700);
      const cutMs = clock.monotonicMs();
      dead.add('controllers').add('n3');
      await clock.advance(afterMs);
      let { hangs } = hanging;
      state.slowMs = (what) => (what.includes('/leases?') && hangs-- > 0 ? 60_000 : 0);
      await clock.advance(withinMs - afterMs);
      expect(changes.map((change) => change.split(' at ')[0])).toEqual(['n3 Unknown']);
      expect((secondOf(changes[0]) * 1000 - cutMs) / 1000).toBeGreaterThan(graceMs / 1000 - 10);
      await close();
    }
  }
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
      expect(afterMs).toBeGreaterThan(usualGraceMs - 11_000);
      expect(afterMs).toBeLessThan(usualGraceMs + 18_000);
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
      await clock.advance(usualGraceMs + 20_000 - clock.monotonicMs() + cutMs);
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
    expect(refused).toEqual([
      expect.stringContaining('node n1 cannot be marked'),
      expect.stringContaining('node n3 cannot be marked'),
    ]);
    state.denied = undefined;
    await clock.advance(10_000);
    expect(changes).toHaveLength(2);
    await close();
  });

  test('pods of a silent node are not Ready any more, those of others are', async () => {
    const { clock, dead, addPod, podChanges, lines, close } = scene({ servers: 1 });
    for (const name of ['p1', 'p2']) addPod(name, 'n3');
    addPod('p3', 'n1');
    await clock.advance(30_000);
    dead.add('controllers').add('n3');
    await clock.advance(70_000);
    expect(podChanges).toEqual(['p1 False', 'p2 False']);
    expect(lines.at(-1)).toBe('server 1: pods of node n3 are not called Ready any more: 2');
    await clock.advance(200_000);
    expect(podChanges).toHaveLength(2);
    await close();
  });

  test('pods that were left, by an error or a server that died in between, are written later', async () => {
    const { clock, dead, addPod, state, nodes, changes, podChanges, close } = scene({ servers: 1 });
    for (const name of ['p1', 'p2']) addPod(name, 'n3');
    addPod('p3', 'n2');
    nodes.set('n2', {
      metadata: { name: 'n2', resourceVersion: '1' },
      status: { conditions: [{ type: 'Ready', status: 'Unknown' }] },
    });
    state.refused = (what) => what.includes('/pods/p1/');
    await clock.advance(30_000);
    dead.add('controllers').add('n2').add('n3');
    await clock.advance(70_000);
    expect(changes).toHaveLength(1);
    expect([...podChanges].sort()).toEqual(['p2 False', 'p3 False']);
    state.refused = () => false;
    await clock.advance(7_000);
    expect([...podChanges].sort()).toEqual(['p1 False', 'p2 False', 'p3 False']);
    await close();
  });

  test('pods of a node whose kubelet is back before they were written are left to it', async () => {
    const { clock, dead, addPod, state, podChanges, setReady, close } = scene({ servers: 1 });
    addPod('p1', 'n3');
    state.refused = (what) => what.includes('/pods/');
    await clock.advance(30_000);
    dead.add('controllers').add('n3');
    await clock.advance(70_000);
    setReady('n3');
    state.refused = () => false;
    await clock.advance(30_000);
    expect(podChanges).toEqual([]);
    await close();
  });

  test('a Lease that was renewed since it was judged counts', async () => {
    const { clock, dead, changes, requests, state, renew, close } = scene({ servers: 1 });
    state.slowMs = (what) => {
      // Its kubelet is back just then.
      if (what === 'GET /api/v1/nodes/n3') renew('n3', 40);
      return 0;
    };
    await clock.advance(30_000);
    dead.add('controllers').add('n3');
    await clock.advance(300_000);
    expect(requests).toContain('GET /api/v1/nodes/n3');
    expect(changes).toEqual([]);
    await close();
  });

  test('a status that a kubelet has posted while it was judged counts for the grace', async () => {
    const { clock, dead, changes, state, setReady, close } = scene({ servers: 1 });
    let times = 0;
    state.slowMs = (what) => {
      if (what.startsWith('PUT') && (times += 1) === 1) setReady('n3');
      return 0;
    };
    await clock.advance(30_000);
    dead.add('controllers').add('n3');
    await clock.advance(70_000);
    expect({ times, changes }).toEqual({ times: 1, changes: [] });
    await clock.advance(25_000);
    expect(changes).toEqual([]);
    await clock.advance(30_000);
    expect(changes).toHaveLength(1);
    await close();
  });

  test('with an API that is slow a pass is short: soon after a controller-manager is back, nothing is written', async () => {
    const { clock, dead, changes, state, close } = scene({ servers: 1 });
    await clock.advance(30_000);
    dead.add('controllers').add('n1').add('n2').add('n3');
    await clock.advance(30_000);
    state.slowMs = (what) => (what.includes('/nodes/') ? 2_000 : 0);
    for (let ms = 0; ms < 60_000 && changes.length === 0; ms += 500) await clock.advance(500);
    dead.delete('controllers');
    await clock.advance(60_000);
    expect(changes).toHaveLength(1);
    await close();
  });

  test('a node whose requests hang keeps no other from being judged, and is named', async () => {
    const { clock, dead, changes, lines, state, close } = scene({ servers: 1 });
    state.slowMs = (what) => (what.includes('/nodes/n1') ? 3_600_000 : 0);
    await clock.advance(30_000);
    dead.add('controllers').add('n1').add('n2').add('n3');
    await clock.advance(100_000);
    expect(changes.map((change) => change.split(' at ')[0]).sort()).toEqual(['n2 Unknown', 'n3 Unknown']);
    expect(lines.filter((line) => line.includes('in time'))).toEqual([
      'server 1: node n1 cannot be marked as silent: the API did not answer in time',
    ]);
    await close();
  });
});
