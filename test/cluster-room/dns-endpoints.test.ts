/** The loop on an API of this test's own, in which several servers take turns; time is a number. */
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { keepDnsEndpoints } from '../../src/cluster/dns-endpoints.ts';
import { KubeApiError, type KubeClient } from '../../src/cluster/kube-client.ts';
import { sleep } from '../../src/kernel/clock.ts';
import { fakeClock, type FakeClock } from '../kit/fake-clock.ts';
import { randomFrom } from '../kit/random.ts';

const applied = z.looseObject({
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), resourceVersion: z.string().optional() }),
  endpoints: z.array(z.object({ conditions: z.object({ ready: z.boolean() }) })).optional(),
});

/** What the servers share. */
function sharedApi(clock: FakeClock, names: readonly string[]) {
  let version = 100;
  const slice = (name: string, ready: boolean, index: number) => ({
    metadata: { name: `dns-${name}`, resourceVersion: String((version += 1)), labels: { 'k8s-app': 'kube-dns' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: [`192.0.2.${String(index + 1)}`], conditions: { ready }, nodeName: name }],
    ports: [{ name: 'dns', port: 5353, protocol: 'UDP' }],
  });
  const objects = new Map<string, object>(names.map((name, index) => [`dns-${name}`, slice(name, true, index)]));
  const nodes = new Map(names.map((name) => [name, 'True']));
  const state = { isAway: false, isRefusing: false, extraMs: 0, onApply: (_name: string): void => undefined };
  /** "12 s: dns-s3 out", "12 s: dns-s3 in". */
  const writes: string[] = [];
  let renewals = 0;
  const versionOf = (name: string) =>
    (objects.get(name) as { metadata: { resourceVersion: string } } | undefined)?.metadata.resourceVersion;

  const client = (isCut: () => boolean, random: () => number): Pick<KubeClient, 'get' | 'apply'> & Disposable => {
    const answer = async (signal: AbortSignal) => {
      await sleep(clock, 5 + state.extraMs + 200 * random(), signal);
      if (isCut() || state.isAway) {
        if (random() < 0.5) throw new Error('connect ECONNREFUSED');
        await sleep(clock, 60_000, signal);
      }
    };
    return {
      async get(path, signal) {
        await answer(signal);
        const name = path.split('/').at(-1) ?? '';
        if (!path.includes('/nodes/')) {
          const kind = path.includes('endpointslices') ? 'dns-' : 'k3s-lite-dns-';
          return { items: [...objects].filter(([key]) => key.startsWith(kind)).map(([, object]) => object) };
        }
        const status = nodes.get(name);
        if (status === undefined) throw new KubeApiError('GET', 404, 'NotFound', 'no such node');
        return { metadata: { name }, status: { conditions: [{ type: 'Ready', status }] } };
      },
      async apply(_, body, signal) {
        const { kind, metadata, endpoints } = applied.parse(body);
        state.onApply(metadata.name);
        await answer(signal);
        if (state.isRefusing && kind === 'EndpointSlice') throw new KubeApiError('PATCH', 422, 'Invalid', 'no');
        if (metadata.resourceVersion !== versionOf(metadata.name)) {
          throw new KubeApiError('PATCH', 409, 'Conflict', 'it has changed');
        }
        const now = { ...metadata, resourceVersion: String((version += 1)) };
        objects.set(metadata.name, { ...body, metadata: now });
        if (kind === 'Lease') renewals += 1;
        else {
          const ready = endpoints?.[0]?.conditions.ready === true;
          writes.push(`${String(Math.round(clock.monotonicMs() / 1000))} s: ${metadata.name} ${ready ? 'in' : 'out'}`);
        }
        return {};
      },
      [Symbol.dispose]: () => undefined,
    };
  };
  /** Those that are asked. */
  const asked = () =>
    [...objects]
      .filter(([, object]) => JSON.stringify(object).includes('"ready":true'))
      .map(([key]) => key.slice('dns-'.length));
  return { objects, nodes, state, writes, client, asked, slice, renewals: () => renewals };
}

function scene(names: readonly string[], seed = 1) {
  const clock = fakeClock();
  const random = randomFrom(seed);
  const api = sharedApi(clock, names);
  const [cut, deaf, leaving] = [new Set<string>(), new Set<string>(), new Set<string>()];
  const hooks = { afterAskedWhetherLeaving: (_name: string): void => undefined };
  const lines: string[] = [];
  const warnings: string[] = [];
  let asked = 0;
  const running = new Map<string, { end: AbortController; ended: Promise<unknown> }>();
  const stop = async (name: string) => {
    running.get(name)?.end.abort(new Error('the test is over'));
    expect(await running.get(name)?.ended).toMatchObject({ message: 'the test is over' });
    running.delete(name);
  };
  const start = (name: string) => {
    const end = new AbortController();
    const ended = keepDnsEndpoints({
      nodeName: name,
      connect: () => Promise.resolve(api.client(() => cut.has(name), random)),
      isAnswering: async (_, signal) => {
        asked += 1;
        await sleep(clock, 20, signal);
        return !deaf.has(name);
      },
      isLeaving: () => {
        const isLeaving = leaving.has(name);
        hooks.afterAskedWhetherLeaving(name);
        return Promise.resolve(isLeaving);
      },
      clock,
      random,
      log: (line) => lines.push(`${name}: ${line}`),
      warn: (text) => warnings.push(`${name}: ${text}`),
      signal: end.signal,
    }).catch((error: unknown) => error as Error);
    running.set(name, { end, ended });
  };
  for (const name of names) start(name);
  const close = async () => {
    for (const name of [...running.keys()]) await stop(name);
    expect(clock.pendingTimers).toBe(0);
  };
  return { clock, api, cut, deaf, leaving, hooks, lines, warnings, start, stop, close, asked: () => asked };
}

const servers = ['s1', 's2', 's3'];
/** Two looks, the 5 s that a Lease promises, and what hangs. */
const knownWithinMs = 12_000;
/** Each with other delays. */
const seeds = 4;

describe('one of three servers', () => {
  test.each(['loses its power', 'is cut off from the API', 'has a DNS that does not answer'])('%s', async (what) => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const { clock, api, cut, deaf, start, stop, close } = scene(servers, seed);
      await clock.advance(20_000 + seed * 130);
      expect(api.writes).toEqual([]);
      if (what.includes('power')) await stop('s3');
      else (what.includes('cut') ? cut : deaf).add('s3');
      await clock.advance(knownWithinMs);
      expect(api.asked()).toEqual(['s1', 's2']);
      await clock.advance(60_000);
      expect(api.writes).toHaveLength(1);
      if (what.includes('power')) start('s3');
      for (const names of [cut, deaf]) names.clear();
      await clock.advance(knownWithinMs);
      expect(api.asked()).toEqual(servers);
      await clock.advance(60_000);
      expect(api.writes).toHaveLength(2);
      await close();
    }
  });

  test('loses its power, and says that it is asked before it is (cluster-dns-objects)', async () => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const { clock, api, start, stop, close } = scene(servers, seed);
      await clock.advance(20_000);
      await stop('s3');
      await clock.advance(knownWithinMs);
      api.objects.set('dns-s3', api.slice('s3', true, 2));
      await clock.advance(1_000);
      start('s3');
      await clock.advance(knownWithinMs);
      expect(api.asked()).toEqual(servers);
      await clock.advance(60_000);
      // Out when it was lost, and perhaps once more.
      expect([1, 3]).toContain(api.writes.length);
      await close();
    }
  });

  test('is deleted: whoever is left is asked, and nothing waits for it', async () => {
    const { clock, api, stop, close } = scene(servers);
    await clock.advance(20_000);
    await stop('s3');
    api.nodes.delete('s3');
    await clock.advance(knownWithinMs);
    await stop('s2');
    await clock.advance(knownWithinMs);
    expect(api.asked()).toEqual(['s1']);
    await stop('s1');
    await clock.advance(60_000);
    expect(api.writes).toHaveLength(2);
    await close();
  });

  test('is taken out by itself while its DNS still answers: nothing puts it back until it has started again', async () => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const { clock, api, leaving, close } = scene(servers, seed);
      await clock.advance(20_000);
      leaving.add('s3');
      api.objects.set('dns-s3', api.slice('s3', false, 2));
      await clock.advance(60_000);
      expect(api.asked()).toEqual(['s1', 's2']);
      expect(api.writes).toEqual([]);
      leaving.clear();
      await clock.advance(knownWithinMs);
      expect(api.asked()).toEqual(servers);
      await close();
    }
  });

  test('begins to leave between its own look and what that puts back: it is not put back', async () => {
    const { clock, api, leaving, hooks, close } = scene(servers);
    await clock.advance(20_000);
    api.objects.set('dns-s3', api.slice('s3', false, 2));
    hooks.afterAskedWhetherLeaving = (name) => {
      if (name === 's3') leaving.add(name);
    };
    await clock.advance(60_000);
    expect(api.writes).toEqual([]);
    await close();
  });

  test('begins to leave while its own look puts it back: that is taken back by a look at once', async () => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const { clock, api, leaving, close } = scene(servers, seed);
      await clock.advance(20_000);
      api.state.onApply = (name) => {
        if (name === 'dns-s3') leaving.add('s3');
      };
      api.objects.set('dns-s3', api.slice('s3', false, 2));
      for (let passedMs = 0; !leaving.has('s3'); passedMs += 10) {
        expect(passedMs).toBeLessThan(knownWithinMs);
        await clock.advance(10);
      }
      // What is under way, and one look of four answers of 205 ms each.
      await clock.advance(1_200);
      expect(api.writes).toHaveLength(2);
      expect(api.asked()).toEqual(['s1', 's2']);
      await close();
    }
  });

  test('could not say that it leaves: its own look does', async () => {
    const { clock, api, leaving, close } = scene(servers);
    await clock.advance(20_000);
    leaving.add('s3');
    await clock.advance(4_000);
    expect(api.asked()).toEqual(['s1', 's2']);
    await clock.advance(60_000);
    expect(api.writes).toHaveLength(1);
    await close();
  });

  test('has a Node that is not Ready, and DNS that answers: it is asked', async () => {
    const { clock, api, close } = scene(servers);
    await clock.advance(20_000);
    api.nodes.set('s3', 'Unknown');
    await clock.advance(60_000);
    expect(api.asked()).toEqual(servers);
    expect(api.writes).toEqual([]);
    await close();
  });

  test('has a DNS that has never answered: it is not asked, until it does', async () => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const { clock, api, deaf, close } = scene(servers, seed);
      deaf.add('s3');
      await clock.advance(20_000);
      expect(api.asked()).toEqual(['s1', 's2']);
      expect(api.writes).toHaveLength(1);
      deaf.clear();
      await clock.advance(knownWithinMs);
      expect(api.asked()).toEqual(servers);
      await clock.advance(60_000);
      expect(api.writes).toHaveLength(2);
      await close();
    }
  });
});

test('an outage of the API takes nobody out, however long', async () => {
  for (let seed = 1; seed <= seeds; seed += 1) {
    const { clock, api, lines, close } = scene(servers, seed);
    await clock.advance(20_000);
    for (const outageMs of [1_000, 2_500, 4_000, 6_000, 30_000, 120_000]) {
      api.state.isAway = true;
      await clock.advance(outageMs);
      api.state.isAway = false;
      await clock.advance(20_000 + seed * 130);
    }
    expect(api.writes).toEqual([]);
    // Each says it once an outage, by one or two reasons.
    expect(lines.length).toBeGreaterThanOrEqual(3 * 3);
    expect(new Set(lines.map((line) => line.replace(/^s\d: /, '')))).toEqual(
      new Set([
        'cluster DNS cannot be looked after: connect ECONNREFUSED',
        'cluster DNS cannot be looked after: the API did not answer in time',
      ]),
    );
    await close();
  }
});

test('an API that is too slow for anybody to judge is warned of once; then Nodes tell who is lost', async () => {
  const { clock, api, warnings, stop, close } = scene(servers);
  // A look is three or four answers, and has 3 s.
  await clock.advance(20_000);
  expect(warnings).toEqual([]);
  api.state.extraMs = 720;
  await clock.advance(60_000);
  await stop('s3');
  await clock.advance(60_000);
  expect(api.asked()).toEqual(servers);
  expect(warnings.map((line) => line.replace(/takes.*/, '…')).sort()).toEqual(
    servers.map((name) => `${name}: the API …`),
  );
  api.nodes.set('s3', 'Unknown');
  await clock.advance(knownWithinMs);
  expect(api.asked()).toEqual(['s1', 's2']);
  api.state.extraMs = 0;
  await clock.advance(20_000);
  expect(warnings.slice(3).sort()).toEqual(['s1: ', 's2: ']);
  await close();
});

test('a server that comes and goes is asked only while it is steady', async () => {
  const { clock, api, cut, close } = scene(servers);
  await clock.advance(20_000);
  for (let round = 0; round < 20; round += 1) {
    cut.add('s3');
    await clock.advance(5_500);
    cut.delete('s3');
    await clock.advance(3_500);
  }
  expect(api.writes.length).toBeLessThanOrEqual(1);
  await clock.advance(20_000);
  expect(api.asked()).toEqual(servers);
  await close();
});

test('two of three are lost while one of them is asked alone: the last one stays', async () => {
  const { clock, api, cut, close } = scene(servers);
  await clock.advance(20_000);
  for (const name of ['s1', 's2']) cut.add(name);
  await clock.advance(60_000);
  expect(api.asked()).toEqual(['s3']);
  cut.add('s3');
  await clock.advance(60_000);
  expect(api.asked()).toEqual(['s3']);
  for (const name of servers) cut.delete(name);
  await clock.advance(knownWithinMs);
  expect(api.asked()).toEqual(servers);
  await close();
});

test('servers whose Nodes are gone are asked by their Leases', async () => {
  const { clock, api, stop, close } = scene(servers);
  api.nodes.clear();
  await clock.advance(30_000);
  expect(api.asked()).toEqual(servers);
  await stop('s2');
  await clock.advance(knownWithinMs);
  expect(api.asked()).toEqual(['s1', 's3']);
  await close();
});

test('a single server has no Lease and asks nothing, until there is a second one', async () => {
  const { clock, api, asked, start, close } = scene(['s1']);
  await clock.advance(60_000);
  expect([asked(), api.renewals(), api.writes]).toEqual([0, 0, []]);
  api.nodes.set('s2', 'True');
  api.objects.set('dns-s2', api.slice('s2', true, 1));
  start('s2');
  await clock.advance(30_000);
  expect([...api.objects.keys()].sort()).toEqual(['dns-s1', 'dns-s2', 'k3s-lite-dns-s1', 'k3s-lite-dns-s2']);
  expect(api.writes).toEqual([]);
  await close();
});

test('what cannot be read or changed is said once, and hides nothing else', async () => {
  const { clock, api, lines, stop, close } = scene(servers);
  api.objects.set('dns-bad', { metadata: { name: 'dns-bad' } });
  await clock.advance(20_000);
  expect(lines).toHaveLength(3);
  expect(lines[0]).toContain('what cluster DNS is known by cannot be read');
  api.state.isRefusing = true;
  await stop('s3');
  await clock.advance(knownWithinMs);
  expect(lines.slice(3).filter((line) => !line.endsWith('the slice dns-s3 cannot be changed: PATCH: 422 no'))).toEqual(
    [],
  );
  expect(lines).toHaveLength(5);
  api.state.isRefusing = false;
  await clock.advance(5_000);
  expect(api.writes).toHaveLength(1);
  await close();
});
