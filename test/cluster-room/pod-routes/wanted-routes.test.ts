import { expect, test } from 'vitest';
import { routeChanges, routeTo, wantedRoutes } from '../../../src/cluster/pod-routes/wanted-routes.ts';

const node = (name: string, podCIDR?: string, address?: string) => ({
  metadata: { name },
  spec: podCIDR === undefined ? {} : { podCIDR },
  status: {
    addresses: [
      { type: 'Hostname', address: name },
      ...(address === undefined ? [] : [{ type: 'InternalIP', address }]),
    ],
  },
});
const own = { own: 'n1', clusterCidr: '10.42.0.0/16' };
const n1 = node('n1', '10.42.0.0/24', '192.0.2.1');

test('one route to each other node that has a network and an address', () => {
  const nodes = [node('n3', '10.42.2.0/24', '192.0.2.3'), n1, node('n2', '10.42.1.0/24', '192.0.2.2')];
  expect(wantedRoutes(nodes, own)).toEqual([
    { node: 'n2', to: '10.42.1.0/24', via: '192.0.2.2' },
    { node: 'n3', to: '10.42.2.0/24', via: '192.0.2.3' },
  ]);
  for (const early of [node('n4'), node('n4', '10.42.3.0/24'), node('n4', undefined, '192.0.2.4')]) {
    expect(routeTo(early)).toBeUndefined();
  }
  expect(routeTo({ metadata: { name: 'n4' } })).toBeUndefined();
});

test.each([
  ['everything', '0.0.0.0/0', '192.0.2.9'],
  ['more than the pod network', '10.0.0.0/8', '192.0.2.9'],
  ['another network', '203.0.113.0/24', '192.0.2.9'],
  ['no network', 'fd00::/64', '192.0.2.9'],
  ['the pods of this node', '10.42.0.0/24', '192.0.2.9'],
  ['pods behind a pod', '10.42.9.0/24', '10.42.9.1'],
])('a node that says its pods are %s gets no route', (_what, podCidr, address) => {
  expect(wantedRoutes([n1, node('evil', podCidr, address)], own)).toEqual([]);
});

test('of two nodes with one network the first by name has it', () => {
  const nodes = [node('n3', '10.42.1.0/24', '192.0.2.3'), node('n2', '10.42.1.0/24', '192.0.2.2'), n1];
  expect(wantedRoutes(nodes, own).map(({ node: name }) => name)).toEqual(['n2']);
});

test('only what differs is changed', () => {
  const present = [
    { to: '10.42.1.0/24', via: '192.0.2.2' },
    { to: '10.42.2.0/24', via: '192.0.2.3' },
    { to: '10.42.3.0/24', via: '192.0.2.4' },
  ];
  const wanted = [
    { to: '10.42.1.0/24', via: '192.0.2.2' },
    { to: '10.42.2.0/24', via: '192.0.2.33' },
    { to: '10.42.4.0/24', via: '192.0.2.5' },
  ];
  expect(routeChanges(present, wanted, 143)).toEqual([
    'route del 10.42.3.0/24 via 192.0.2.4 proto 143',
    'route replace 10.42.2.0/24 via 192.0.2.33 proto 143',
    'route replace 10.42.4.0/24 via 192.0.2.5 proto 143',
  ]);
  expect(routeChanges(wanted, wanted, 143)).toEqual([]);
});
