import { expect, test } from 'vitest';
import { parsePools } from '../../../src/vip/service/address-pool.ts';
import { apiServersOf, followServices } from '../../../src/vip/service/follow-services.ts';
import { kubeEndpointSlice } from '../../../src/vip/service/kube-objects.ts';
import type { ServiceApi } from '../../../src/vip/service/object-store.ts';
import { fakeClock } from '../../kit/fake-clock.ts';
import { service } from './service-kit.ts';

test('a Service that is deleted between the first list and the watch has no address for longer than a moment', async () => {
  const clock = fakeClock();
  const ended = new AbortController();
  let items: readonly object[] = [service('gone')];
  const api: ServiceApi = {
    get: (path) => Promise.resolve({ items: path.endsWith('/services') ? items : [] }),
    create: () => Promise.resolve({}),
    apply: () => Promise.resolve({}),
    // Its own list is younger: of what is gone by then it tells nothing.
    async *watch(_path, _query, signal) {
      items = [];
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      yield* [];
    },
  };
  const views: string[] = [];
  const follower = followServices({
    api,
    policy: { pools: parsePools(['10.77.0.0/29']), takesUnclassed: false },
    subnets: () => undefined,
    onView: ({ addresses }) => views.push(addresses.map(({ address }) => address).join()),
    log: () => undefined,
    clock,
    random: () => 0.5,
    signal: ended.signal,
  });
  const running = follower.run().catch(() => undefined);
  await clock.settle();
  expect(views).toEqual(['10.77.0.0']);
  await clock.advance(2000);
  expect(views.at(-1)).toBe('');
  ended.abort(new Error('the test has ended'));
  await clock.settle();
  await running;
});

test('API servers are those of the slice that they write themselves, at addresses that can be asked', () => {
  const slice = (namespace: string, name: string, ...addresses: readonly string[]) => ({
    metadata: { namespace, name, labels: { 'kubernetes.io/service-name': 'kubernetes' } },
    endpoints: [{ addresses: [...addresses] }],
    ports: [{ port: 6443 }],
  });
  const slices = [
    slice('default', 'kubernetes', '192.0.2.1', '2001:db8::1', 'example.test', '192.0.2.2'),
    slice('default', 'kubernetes-x7', '192.0.2.66'),
    slice('other', 'kubernetes', '192.0.2.67'),
  ].map((each) => kubeEndpointSlice.parse(each));
  expect(apiServersOf(slices)).toEqual(['192.0.2.1:6443', '192.0.2.2:6443']);
});
