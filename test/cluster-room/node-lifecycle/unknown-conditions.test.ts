import { expect, test } from 'vitest';
import { withUnknownConditions } from '../../../src/cluster/node-lifecycle/unknown-conditions.ts';

const condition = (type: string, status: string) => ({
  ...{ type, status, reason: 'KubeletSaysSo', message: 'as before', lastHeartbeatTime: '2026-01-01T00:00:00Z' },
  lastTransitionTime: '2025-12-31T00:00:00Z',
});
const node = (...conditions: readonly object[]) => ({
  ...{ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1', uid: 'u', resourceVersion: '7', labels: { a: 'b' } } },
  ...{ spec: { podCIDR: '10.42.0.0/24' }, status: { conditions, images: [{ names: ['x'] }] } },
});
const wallMs = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

test('what the kubelet said is Unknown, all else stays, and so does the version', () => {
  const believed = node(
    condition('NetworkUnavailable', 'False'),
    ...['MemoryPressure', 'DiskPressure', 'PIDPressure'].map((type) => condition(type, 'False')),
    condition('Ready', 'True'),
    condition('OfSomebodyElse', 'True'),
  );
  const unknown = (type: string) => ({
    ...condition(type, 'Unknown'),
    ...{ reason: 'NodeStatusUnknown', message: 'Kubelet stopped posting node status.' },
    lastTransitionTime: '2026-01-02T03:04:05Z',
  });
  expect(withUnknownConditions(believed, wallMs)).toEqual(
    node(
      condition('NetworkUnavailable', 'False'),
      ...['MemoryPressure', 'DiskPressure', 'PIDPressure', 'Ready'].map(unknown),
      condition('OfSomebodyElse', 'True'),
    ),
  );
});

test.each([
  ['Ready alone', [condition('Ready', 'True')], true],
  ['a kubelet that said it is not Ready', [condition('Ready', 'False')], true],
  ['one that is Unknown already', [condition('Ready', 'Unknown'), condition('PIDPressure', 'Unknown')], false],
  ['one condition that was left', [condition('Ready', 'Unknown'), condition('PIDPressure', 'False')], true],
  ['a node that never said anything', [], false],
])('%s', (_, conditions, isChanged) => {
  expect(withUnknownConditions(node(...conditions), wallMs) !== undefined).toBe(isChanged);
});

test('what is no Node is refused', () => {
  expect(() => withUnknownConditions({ kind: 'Node' }, wallMs)).toThrow();
});
