import { describe, expect, test } from 'vitest';
import { changesOfSlices, keepDnsEndpoints, type DnsSlice } from '../../src/cluster/dns-endpoints.ts';
import type { KubeClient } from '../../src/cluster/kube-client.ts';
import { fakeClock } from '../kit/fake-clock.ts';

const slice = (name: string, nodeName: string | undefined, ready: boolean): DnsSlice => ({
  metadata: { name, labels: { 'k8s-app': 'kube-dns' } },
  addressType: 'IPv4',
  endpoints: [{ addresses: ['192.0.2.1'], conditions: { ready }, ...(nodeName === undefined ? {} : { nodeName }) }],
  ports: [{ name: 'dns', port: 5353, protocol: 'UDP' }],
});
const node = (name: string, status: string) => ({
  metadata: { name },
  status: { conditions: [{ type: 'Ready', status }] },
});

describe('a slice of cluster DNS', () => {
  test.each([
    ['of a Ready node stays', 's1', true, true, []],
    ['of a node that is not Ready any more is not asked', 's1', true, false, [false]],
    ['of one that stays away is left as it is', 's1', false, false, []],
    ['of one that is back is asked', 's1', false, true, [true]],
    ['of a node that is not there is not asked', 's1', true, undefined, [false]],
    ['of nobody in particular is not ours to judge', undefined, true, undefined, []],
  ])('%s', (_, nodeName, ready, isReady, done) => {
    const nodes = new Map(isReady === undefined ? [] : [['s1', isReady] as const]);
    expect(changesOfSlices([slice('kube-dns-s1', nodeName, ready)], nodes).map((change) => change.ready)).toEqual(done);
  });
});

test('the slice of a dead server is marked; a silent API ends nothing', async () => {
  const clock = fakeClock();
  const end = new AbortController();
  const calls: string[] = [];
  const lines: string[] = [];
  let isSilent = true;
  const client: Pick<KubeClient, 'get' | 'apply'> & Disposable = {
    get: (path) => {
      if (isSilent) return Promise.reject(new Error('connect ECONNREFUSED'));
      const slices = [slice('a', 's1', true), slice('b', 's2', true), slice('c', 's3', true)];
      return Promise.resolve({
        items: path.includes('endpointslices') ? slices : [node('s1', 'True'), node('s2', 'Unknown')],
      });
    },
    apply: (path, body) => {
      calls.push(`${path.split('/').at(-1) ?? ''} ${JSON.stringify((body as DnsSlice).endpoints?.[0]?.conditions)}`);
      return Promise.resolve({});
    },
    [Symbol.dispose]: () => undefined,
  };
  const running = keepDnsEndpoints({
    connect: () => Promise.resolve(client),
    clock,
    random: () => 0.5,
    log: (line) => lines.push(line),
    signal: end.signal,
  });
  const ended = expect(running).rejects.toThrow('the test is over');
  await clock.advance(10_000);
  expect(calls).toEqual([]);
  isSilent = false;
  await clock.advance(10_000);
  expect(calls).toEqual(['b {"ready":false}', 'c {"ready":false}']);
  expect(lines).toEqual([
    'cluster DNS is not asked at b: its Node is not Ready',
    'cluster DNS is not asked at c: its Node is not Ready',
  ]);
  end.abort(new Error('the test is over'));
  await ended;
  expect(clock.pendingTimers).toBe(0);
});
