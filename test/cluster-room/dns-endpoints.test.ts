import { describe, expect, test } from 'vitest';
import { keepDnsEndpoints } from '../../src/cluster/dns-endpoints.ts';
import { changedSlice, changesOfSlices, type DnsSlice, type Hearing } from '../../src/cluster/dns-slices.ts';
import type { KubeClient } from '../../src/cluster/kube-client.ts';
import { fakeClock } from '../kit/fake-clock.ts';

const slice = (nodeName: string | undefined, ready = true, unheardBy?: string): DnsSlice => ({
  metadata: {
    name: `dns-${nodeName ?? 'of-nobody'}`,
    labels: { 'k8s-app': 'kube-dns' },
    ...(unheardBy === undefined ? {} : { annotations: { 'k3s-lite.io/unheard-by': unheardBy } }),
  },
  addressType: 'IPv4',
  endpoints: [{ addresses: ['192.0.2.1'], conditions: { ready }, ...(nodeName === undefined ? {} : { nodeName }) }],
  ports: [{ name: 'dns', port: 5353, protocol: 'UDP' }],
});
const node = (name: string, status: string) => ({
  metadata: { name },
  status: { conditions: [{ type: 'Ready', status }] },
});
const heard = (hearings: Readonly<Record<string, Hearing>>) =>
  new Map(Object.entries(hearings).map(([name, hearing]) => [`dns-${name}`, hearing]));
/** "s1 out", "s1 in", "s1 out by s2", … */
const texts = (changes: ReturnType<typeof changesOfSlices>) =>
  changes.map(
    ({ slice: { endpoints }, ready, unheardBy }) =>
      `${endpoints?.[0]?.nodeName ?? ''} ${ready ? 'in' : 'out'}${unheardBy === undefined ? '' : ` by ${unheardBy}`}`,
  );

describe('a slice of cluster DNS', () => {
  test.each([
    ['of a Ready node stays', 's1', true, true, []],
    ['of a node that is not Ready any more is not asked', 's1', true, false, ['s1 out']],
    ['of one that stays away is left as it is', 's1', false, false, []],
    ['of one that is back is asked', 's1', false, true, ['s1 in']],
    ['of a node that is not there is not asked', 's1', true, undefined, ['s1 out']],
    ['of nobody in particular is not ours to judge', undefined, true, undefined, []],
  ])('%s', (_, nodeName, ready, isReady, done) => {
    const nodes = new Map([['s2', true], ...(isReady === undefined ? [] : [['s1', isReady] as const])]);
    const slices = [slice(nodeName, ready), slice('s2')];
    expect(texts(changesOfSlices({ slices, nodes, heard: new Map(), nodeName: 's2' }))).toEqual(done);
  });

  const [up, out] = ['answers', 'silent'] as const;
  const three = { s1: up, s2: up, s3: up };
  test.each<[string, Parameters<typeof heard>[0], DnsSlice[], string[]]>([
    ['that falls silent is not asked', { ...three, s3: out }, [slice('s3')], ['s3 out by s1']],
    ['that answers again is asked', three, [slice('s3', false, 's1')], ['s3 in']],
    ['that never answered is not judged', { ...three, s3: 'unknown' }, [slice('s3')], []],
    ['stays out over a restart of who said so', { s3: 'unknown' }, [slice('s3', false, 's1')], []],
    ['stays out as long as another one hears nothing of it', three, [slice('s3', false, 's2')], []],
    ['that another one has taken out is not taken out again', { ...three, s3: out }, [slice('s3', false, 's2')], []],
    ['whose judge is gone is judged anew', three, [slice('s3', false, 'dead')], ['s3 in']],
    ['whose judge is gone is taken out anew', { ...three, s3: out }, [slice('s3', false, 'dead')], ['s3 out by s1']],
    ['of a dead Node that is silent, too, stays out', { ...three, dead: out }, [slice('dead', false, 's1')], []],
    ['is asked, where more are silent than answer', { s1: up, s2: out, s3: out }, [slice('s3')], []],
  ])('%s', (_, hearings, slices, done) => {
    const nodes = new Map([...['s1', 's2', 's3'].map((name) => [name, true] as const), ['dead', false] as const]);
    const others = ['s1', 's2'].map((name) => slice(name));
    const view = { slices: [...others, ...slices], nodes, heard: heard(hearings), nodeName: 's1' };
    expect(texts(changesOfSlices(view))).toEqual(done);
  });

  test('is asked, where nobody would be left: of two that do not hear each other both are', () => {
    const nodes = new Map([
      ['s1', true],
      ['s2', true],
    ]);
    const slices = [slice('s1', false, 's2'), slice('s2')];
    const view = { slices, nodes, heard: heard({ s1: up, s2: out }), nodeName: 's1' };
    expect(texts(changesOfSlices(view))).toEqual(['s1 in']);
  });

  test('as it is applied holds what it held, and who hears nothing of it', () => {
    const [changed, back] = ['s1', undefined].map((by) =>
      JSON.stringify(changedSlice({ slice: slice('s3', true, 's2'), ready: false, ...(by && { unheardBy: by }) })),
    );
    expect(changed).toContain('"annotations":{"k3s-lite.io/unheard-by":"s1"}');
    expect(changed).toContain('"protocol":"UDP"');
    expect(back).not.toContain('annotations');
  });
});

/** An API with three servers of cluster DNS, and how this machine hears them. */
function scene() {
  const clock = fakeClock();
  const end = new AbortController();
  const applied: string[] = [];
  const lines: string[] = [];
  const servers = ['s1', 's2', 's3'];
  const slices = new Map<string, DnsSlice>(
    servers.map((name, index) => [
      `dns-${name}`,
      { ...slice(name), endpoints: [{ addresses: [`192.0.2.${String(index + 1)}`], nodeName: name }] },
    ]),
  );
  const state = { isApiSilent: false, deaf: new Set<string>(), notReady: new Set<string>() };
  const client: Pick<KubeClient, 'get' | 'apply'> & Disposable = {
    get(path) {
      if (state.isApiSilent) return Promise.reject(new Error('connect ECONNREFUSED'));
      const nodes = servers.map((name) => node(name, state.notReady.has(name) ? 'Unknown' : 'True'));
      return Promise.resolve({ items: path.includes('endpointslices') ? [...slices.values()] : nodes });
    },
    apply(path, body) {
      const name = path.split('/').at(-1) ?? '';
      slices.set(name, body as DnsSlice);
      applied.push(`${name} ${JSON.stringify((body as DnsSlice).endpoints?.[0]?.conditions)}`);
      return Promise.resolve({});
    },
    [Symbol.dispose]: () => undefined,
  };
  const running = keepDnsEndpoints({
    nodeName: 's1',
    connect: () => Promise.resolve(client),
    isAnswering: (server) => Promise.resolve(!state.deaf.has(server)),
    clock,
    random: () => 0.5,
    log: (line) => lines.push(line),
    signal: end.signal,
  });
  const ended = expect(running).rejects.toThrow('the test is over');
  const close = async () => {
    end.abort(new Error('the test is over'));
    await ended;
    expect(clock.pendingTimers).toBe(0);
  };
  return { clock, state, applied, lines, close };
}

test('the slice of a dead Node is marked; a silent API ends nothing', async () => {
  const { clock, state, applied, lines, close } = scene();
  state.isApiSilent = true;
  state.notReady.add('s2');
  await clock.advance(10_000);
  expect(applied).toEqual([]);
  state.isApiSilent = false;
  await clock.advance(2_000);
  expect(applied).toEqual(['dns-s2 {"ready":false}']);
  expect(lines).toEqual(['cluster DNS is not asked at dns-s2: its Node is not Ready']);
  await close();
});

test('one that falls silent is marked within a second of its silence, and again asked with its first answer', async () => {
  const { clock, state, applied, lines, close } = scene();
  await clock.advance(10_000);
  state.deaf.add('192.0.2.3:5353');
  await clock.advance(1_000);
  expect(applied).toEqual(['dns-s3 {"ready":false}']);
  state.isApiSilent = true;
  state.deaf.clear();
  await clock.advance(3_000);
  expect(applied).toHaveLength(1);
  // What could not be told is told as soon as somebody listens.
  state.isApiSilent = false;
  await clock.advance(1_000);
  expect(applied).toEqual(['dns-s3 {"ready":false}', 'dns-s3 {"ready":true}']);
  expect(lines).toEqual([
    'cluster DNS is not asked at dns-s3: s1 hears nothing of it',
    'cluster DNS is asked at dns-s3: it answers',
  ]);
  await clock.advance(20_000);
  expect(applied).toHaveLength(2);
  await close();
});
