import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { apiServerList, withSliceEvent, type ApiEndpoints } from '../../../src/cluster/discovery/api-servers.ts';
import { Routing } from '../../balancer/routing-kit.ts';

/** As kube-apiserver writes it. */
const slice = (name: string, hosts: readonly string[], changes: object = {}) => ({
  kind: 'EndpointSlice',
  metadata: { name, labels: { 'kubernetes.io/service-name': 'kubernetes' } },
  addressType: 'IPv4',
  endpoints: hosts.map((host) => ({ addresses: [host], conditions: { ready: true } })),
  ports: [{ name: 'https', port: 6443, protocol: 'TCP' }],
  ...changes,
});
const none: ApiEndpoints = new Map();
const added = (before: ApiEndpoints, object: object) => withSliceEvent(before, { type: 'ADDED', object });
const listed = (endpoints: ApiEndpoints, told: readonly string[] = [], isApiReachable = true) =>
  apiServerList({ endpoints, told, isApiReachable });

describe('[H1] the API servers that the API tells of', () => {
  test('are host and port of each endpoint, IPv6 in brackets', () => {
    expect(listed(added(none, slice('kubernetes', ['10.0.0.2', '10.0.0.1'])))).toEqual([
      '10.0.0.1:6443',
      '10.0.0.2:6443',
    ]);
    expect(listed(added(none, slice('kubernetes-6', ['fd00::1'], { addressType: 'IPv6' })))).toEqual([
      '[fd00::1]:6443',
    ]);
  });

  test('change with their slice, of which there may be several', () => {
    let endpoints = added(added(none, slice('a', ['10.0.0.1'])), slice('b', ['10.0.0.2']));
    endpoints = withSliceEvent(endpoints, { type: 'MODIFIED', object: slice('a', ['10.0.0.3']) });
    expect(listed(endpoints)).toEqual(['10.0.0.2:6443', '10.0.0.3:6443']);
    endpoints = withSliceEvent(endpoints, { type: 'DELETED', object: slice('b', []) });
    expect(listed(endpoints)).toEqual(['10.0.0.3:6443']);
  });

  test('do not have one that is not ready; one that says nothing of it is', () => {
    const endpoints = [
      { addresses: ['10.0.0.1'], conditions: { ready: false } },
      { addresses: ['10.0.0.2'], conditions: {} },
      { addresses: ['10.0.0.3'] },
    ];
    expect(listed(added(none, slice('kubernetes', [], { endpoints })))).toEqual(['10.0.0.2:6443', '10.0.0.3:6443']);
  });

  test.each([{ kind: 'Status' }, 'a text', { metadata: { name: 'a' }, endpoints: 'many' }, null])(
    'are not changed by %j',
    (object) => {
      const before = added(none, slice('kubernetes', ['10.0.0.1']));
      expect(withSliceEvent(before, { type: 'MODIFIED', object })).toBe(before);
    },
  );
});

test('[L7] whatever the API sends, a balancer that is handed it keeps a server to go to', () => {
  const field = fc.oneof(
    fc.jsonValue(),
    fc.string(),
    fc.nat(70_000),
    fc.constantFrom('10.0.0.9', 'fd00::1', '10.0.0.9:1'),
  );
  const nearly = fc.record(
    {
      metadata: fc.oneof(fc.record({ name: fc.constantFrom('kubernetes', 'other', '__proto__') }), field),
      endpoints: fc.oneof(fc.array(fc.record({ addresses: fc.array(fc.oneof(fc.string(), field)) })), field),
      ports: fc.oneof(fc.array(fc.record({ port: field })), field),
    },
    { requiredKeys: [] },
  );
  const event = fc.record({
    type: fc.constantFrom('ADDED' as const, 'MODIFIED' as const, 'DELETED' as const),
    object: fc.oneof(nearly, fc.jsonValue()),
  });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 10 }), (events) => {
      const balancer = new Routing().update('10.0.0.1:6443');
      let endpoints = added(none, slice('kubernetes', ['10.0.0.1']));
      for (const each of events) {
        endpoints = withSliceEvent(endpoints, each);
        balancer.update(...listed(endpoints));
        expect(balancer.order()).not.toEqual([]);
        for (const { address } of balancer.state.servers) expect(address).toMatch(/^.+:\d{1,5}$/);
      }
    }),
    { numRuns: 200 },
  );
});

describe('what the join servers tell', () => {
  const endpoints = added(none, slice('kubernetes', ['10.0.0.1']));

  test('counts before the API has told anything', () => {
    expect(listed(none, ['10.0.0.9:6443'], true)).toEqual(['10.0.0.9:6443']);
    expect(listed(none, [], true)).toEqual([]);
  });

  test('counts for nothing while the API can be asked: who was removed there is gone', () => {
    expect(listed(endpoints, ['10.0.0.9:6443'], true)).toEqual(['10.0.0.1:6443']);
  });

  test('is added when no API server answers any more, and nobody leaves', () => {
    expect(listed(endpoints, ['10.0.0.9:6443', '10.0.0.1:6443'], false)).toEqual(['10.0.0.1:6443', '10.0.0.9:6443']);
  });
});
