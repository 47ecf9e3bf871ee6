import { expect, test } from 'vitest';
import { claimNode } from '../../../src/cluster/join/node-passwords.ts';
import { KubeApiError } from '../../../src/cluster/kube-client.ts';
import { fakeClock } from '../../kit/fake-clock.ts';
import { memoryApi, type MemoryApi } from './memory-api.ts';

const [first, second] = ['first-password-0123', 'second-password-012'];
const { signal } = new AbortController();
const secret = '/api/v1/namespaces/kube-system/secrets/w1.node-password.k3s-lite';
/** Later than a node that joins takes. */
const muchLaterMs = 11 * 60_000;

function kit() {
  const clock = fakeClock();
  const api: MemoryApi = memoryApi(() => clock.wallMs());
  const claim = (password: string) => claimNode({ client: api.client, name: 'w1', password, clock, signal });
  return { api, clock, claim };
}

test('the first to use a name keeps it by its password', async () => {
  const own = kit();
  expect(await own.claim(first)).toBe(true);
  expect(await own.claim(second)).toBe(false);
  expect(await own.claim(first)).toBe(true);
});

test('what is kept is no password', async () => {
  const own = kit();
  await own.claim(first);
  const text = JSON.stringify(own.api.objects.get(secret));
  expect(text).not.toContain(first);
  expect(text).not.toContain(Buffer.from(first).toString('base64'));
});

test('a name whose Node is gone is free again, but not while its node may still be joining', async () => {
  const own = kit();
  await own.claim(first);
  expect(await own.claim(second)).toBe(false);
  await own.clock.advance(muchLaterMs);
  expect(await own.claim(second)).toBe(true);
  expect(await own.claim(first)).toBe(false);
});

test('a name whose Node is there stays taken for ever', async () => {
  const own = kit();
  await own.claim(first);
  own.api.objects.set('/api/v1/nodes/w1', {});
  await own.clock.advance(muchLaterMs);
  expect(await own.claim(second)).toBe(false);
});

test('of two that use a new name at once, one gets it', async () => {
  const own = kit();
  const outcomes = await Promise.all([own.claim(first), own.claim(second)]);
  expect(outcomes.sort()).toEqual([false, true]);
});

test('an API that refuses decides nothing', async () => {
  const own = kit();
  const get = () => Promise.reject(new KubeApiError('GET', 503, '', 'no etcd'));
  const claim = claimNode({
    client: { ...own.api.client, get },
    name: 'w1',
    password: first,
    clock: own.clock,
    signal,
  });
  await expect(claim).rejects.toThrow('no etcd');
  expect(own.api.objects.size).toBe(0);
});

test('a hash of another version lets nobody in', async () => {
  const own = kit();
  const data = { hash: Buffer.from('v9.aa.bb').toString('base64') };
  own.api.objects.set(secret, { metadata: { creationTimestamp: new Date(own.clock.wallMs()).toISOString() }, data });
  expect(await own.claim(first)).toBe(false);
});
