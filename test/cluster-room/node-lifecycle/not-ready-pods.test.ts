import { describe, expect, test } from 'vitest';
import { notReadyPods, podsOfNodePath, podStatusPath } from '../../../src/cluster/node-lifecycle/not-ready-pods.ts';

const condition = (type: string, status: string) => ({
  ...{ type, status, reason: 'AsItWas', message: 'as before', lastTransitionTime: '2025-12-31T00:00:00Z' },
});
const pod = (nodeName: string | undefined, ...conditions: readonly object[]) => ({
  metadata: { name: 'p', namespace: 'ns', uid: 'u', resourceVersion: '7', labels: { a: 'b' } },
  spec: { ...(nodeName === undefined ? {} : { nodeName }), containers: [{ name: 'c' }] },
  status: { phase: 'Running', conditions, podIP: '10.42.0.7' },
});
const wallMs = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const changed = (...pods: readonly object[]) => notReadyPods({ kind: 'PodList', items: pods }, 'n1', wallMs);

describe('pods of a node that nobody believes', () => {
  test('one that is Ready is not any more; all else stays, its version too', () => {
    const before = [condition('ContainersReady', 'True'), condition('PodScheduled', 'True')];
    const ready = condition('Ready', 'True');
    expect(changed(pod('n1', ...before, ready))).toEqual([
      {
        ...{ apiVersion: 'v1', kind: 'Pod' },
        ...pod('n1', ...before, { ...ready, status: 'False', lastTransitionTime: '2026-01-02T03:04:05Z' }),
      },
    ]);
  });

  test.each([
    ['one that is not Ready already', pod('n1', condition('Ready', 'False'))],
    ['one of which nobody knows', pod('n1', condition('Ready', 'Unknown'))],
    ['one that never said anything', pod('n1')],
    ['one that is initialized only', pod('n1', condition('Initialized', 'True'))],
    ['one of another node', pod('n2', condition('Ready', 'True'))],
    ['one of no node', pod(undefined, condition('Ready', 'True'))],
    ['one without a list of conditions', { ...pod('n1'), status: {} }],
  ])('%s is left as it is', (_, one) => {
    expect(changed(one)).toEqual([]);
  });

  test.each([
    ['an empty list', { items: [] }],
    ['a list as Go writes none', { items: null }],
  ])('%s', (_, list) => {
    expect(notReadyPods(list, 'n1', wallMs)).toEqual([]);
  });

  test('what is no list is refused', () => {
    expect(() => notReadyPods({ items: [{ kind: 'Pod' }] }, 'n1', wallMs)).toThrow();
  });

  test('where they are', () => {
    expect(podsOfNodePath('n1.example')).toBe('/api/v1/pods?fieldSelector=spec.nodeName%3Dn1.example');
    const [first] = changed(pod('n1', condition('Ready', 'True')));
    expect(first && podStatusPath(first)).toBe('/api/v1/namespaces/ns/pods/p/status');
  });
});
