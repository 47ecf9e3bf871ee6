import { expect, test } from 'vitest';
import { podCidrOf } from '../../src/cluster/pod-network.ts';
import { scriptedApi } from './scripted-api.ts';

const nodes = '/api/v1/nodes';
const node = (name: string, podCIDR: string) => ({ metadata: { name }, spec: { podCIDR } });
const { signal } = new AbortController();

test('a node waits until the cluster has given it its part of the pod network', async () => {
  const api = await scriptedApi();
  api.set(nodes, { metadata: { name: 'n1' } });
  api.set(nodes, node('n2', '10.42.9.0/24'));
  const answer = podCidrOf(api.client, 'n1', signal);
  await expect.poll(api.openWatches).toBe(1);
  api.set(nodes, node('n1', '10.42.1.0/24'));
  expect(await answer).toBe('10.42.1.0/24');
  await expect.poll(api.openWatches).toBe(0);
});

test('what is no network is not taken for one', async () => {
  const api = await scriptedApi();
  api.set(nodes, node('n1', 'fd00::/64'));
  const answer = podCidrOf(api.client, 'n1', signal);
  await expect.poll(api.openWatches).toBe(1);
  api.set(nodes, node('n1', '10.42.1.0/24'));
  expect(await answer).toBe('10.42.1.0/24');
});
