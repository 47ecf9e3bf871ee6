import { expect, test } from 'vitest';
import { KubeApiError } from '../../src/cluster/kube-client.ts';
import { removeNotReadyTaint, withoutNotReadyTaint } from '../../src/cluster/not-ready-taint.ts';

const notReady = { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' };
const node = (status: string, taints: readonly object[]) => ({
  metadata: { name: 'n1', resourceVersion: '7' },
  spec: { podCIDR: '10.42.0.0/24', taints },
  status: { conditions: [{ type: 'Ready', status }] },
});
const signal = new AbortController().signal;
const refusal = (status: number, reason: string) => new KubeApiError('PUT', status, reason, reason);

test('the taint alone is taken from a node that is Ready, all else stays', () => {
  const cordoned = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };
  const evicting = { ...notReady, effect: 'NoExecute' };
  expect(withoutNotReadyTaint(node('True', [cordoned, notReady, evicting]))).toEqual(
    node('True', [cordoned, evicting]),
  );
});

test.each([
  ['one that is not Ready', node('False', [notReady])],
  ['one whose state nobody knows', node('Unknown', [notReady])],
  ['one without a condition', { metadata: { name: 'n1' }, spec: { taints: [notReady] } }],
  ['one without the taint', node('True', [])],
  [
    'one with no taints at all',
    { metadata: { name: 'n1' }, status: { conditions: [{ type: 'Ready', status: 'True' }] } },
  ],
])('%s is left as it is', (_name, object) => {
  expect(withoutNotReadyTaint(object)).toBeUndefined();
});

/** An API that refuses the first writes with these. */
function refusing(...refusals: readonly Error[]) {
  const left = [...refusals];
  const written: object[] = [];
  const lines: string[] = [];
  const client = {
    get: () => Promise.resolve(node('True', [notReady])),
    replace: (_path: string, body: object) => {
      const refused = left.shift();
      if (refused !== undefined) return Promise.reject(refused);
      written.push(body);
      return Promise.resolve({});
    },
  };
  return {
    written,
    lines,
    run: () => removeNotReadyTaint(client, 'n1', { signal, log: (line) => void lines.push(line) }),
  };
}

test('what somebody has written meanwhile is read again', async () => {
  const api = refusing(refusal(409, 'Conflict'), refusal(409, 'Conflict'));
  await api.run();
  expect(api.written).toEqual([node('True', [])]);
  expect(api.lines).toEqual([]);
});

test('an API that cannot now is left alone, and that is said: the controllers do the same later', async () => {
  const api = refusing(refusal(500, 'InternalError'));
  await api.run();
  expect(api.written).toEqual([]);
  expect(api.lines).toEqual([expect.stringContaining('is left to the controllers: PUT: 500')]);
});
