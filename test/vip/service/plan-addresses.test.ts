import { describe, expect, test } from 'vitest';
import { parsePools } from '../../../src/vip/service/address-pool.ts';
import { allocate } from '../../../src/vip/service/allocate.ts';
import { parseRange } from '../../../src/vip/service/ip-range.ts';
import type { KubeService } from '../../../src/vip/service/kube-objects.ts';
import { parseLabelSelector } from '../../../src/vip/service/label-selector.ts';
import { planAddresses, type ServiceWorld } from '../../../src/vip/service/plan-addresses.ts';
import { node, service } from './service-kit.ts';

const nodes = [node('a', { zone: 'east' }), node('b', { zone: 'west', slow: '' }), node('c', { zone: 'west' })];

function needs(services: readonly KubeService[], world: Partial<ServiceWorld> = {}) {
  const allocations = allocate(services, { pools: parsePools(['10.1.2.0/28,fd00::/120']), takesUnclassed: false });
  return planAddresses({ allocations, nodes, endpointNodes: new Map(), ...world });
}
const eligible = (...given: Parameters<typeof needs>) =>
  needs(...given).addresses.map((each) => [...(each.eligible ?? [])]);

describe('which nodes may hold an address', () => {
  test('all, unless there is a reason', () => {
    expect(eligible([service('web')])).toEqual([['a', 'b', 'c']]);
  });

  test('none that is labelled to be left out of load balancers', () => {
    const labelled = [node('a', { 'node.kubernetes.io/exclude-from-external-load-balancers': '' }), node('b')];
    expect(eligible([service('web')], { nodes: labelled })).toEqual([['b']]);
  });

  test('with externalTrafficPolicy Local those with a ready endpoint, and without one nobody', () => {
    const local = service('web', { spec: { externalTrafficPolicy: 'Local' } });
    expect(eligible([local], { endpointNodes: new Map([['default/web', new Set(['b'])]]) })).toEqual([['b']]);
    expect(eligible([local])).toEqual([[]]);
  });

  test('those that the Service selects', () => {
    expect(eligible([service('web', { annotations: { 'node-selector': 'zone=west,!slow' } })])).toEqual([['c']]);
  });

  test('those with its network on an interface, for each family', () => {
    const subnets = new Map([
      ['a', [parseRange('10.1.2.0/24'), parseRange('fd00::/64')]],
      ['b', [parseRange('10.1.2.0/24')]],
      ['c', [parseRange('10.9.0.0/16')]],
    ]);
    const dual = service('web', { spec: { ipFamilies: ['IPv4', 'IPv6'] } });
    expect(eligible([dual], { subnets })).toEqual([['a', 'b'], ['a']]);
  });

  test('of several Services on it those that all of them may have', () => {
    const sharing = (name: string, port: number, selector: string) =>
      service(name, { annotations: { 'sharing-key': 'k', 'node-selector': selector }, spec: { ports: [{ port }] } });
    expect(eligible([sharing('x', 80, 'zone=west'), sharing('y', 443, '!slow')])).toEqual([['c']]);
  });

  test('equal sets are one object, so that the planner looks at each once', () => {
    const [first, second] = needs([service('x'), service('y')]).addresses;
    expect(first?.eligible).toBe(second?.eligible);
  });
});

test('preferences, groups and weights are read from annotations; both families belong together', () => {
  const dual = service('web', {
    annotations: { 'preferred-nodes': 'a=80,b', group: 'dns', weight: '2.5' },
    spec: { ipFamilies: ['IPv4', 'IPv6'] },
  });
  expect(needs([dual]).addresses).toMatchObject([
    {
      address: '10.1.2.0',
      weight: 2.5,
      group: 'dns',
      together: 'default/web',
      preferred: new Map([
        ['a', 80],
        ['b', 100],
      ]),
    },
    { address: 'fd00::', weight: 2.5, group: 'dns', together: 'default/web' },
  ]);
});

test('a mistake in an annotation is told, and never makes a node eligible', () => {
  const { addresses, mistakes } = needs([
    service('web', { annotations: { 'node-selector': 'zone in west', weight: '-1', 'preferred-nodes': 'a=200' } }),
  ]);
  expect(addresses).toMatchObject([{ weight: 1, preferred: undefined }]);
  expect([...(addresses[0]?.eligible ?? [])]).toEqual([]);
  expect(mistakes.map(({ message }) => message)).toEqual([
    'annotation k3s-lite.io/vip-node-selector: "zone in west" is no selector, like zone=a, zone!=b, zone in (a,b) or !slow',
    'annotation k3s-lite.io/vip-preferred-nodes: "a=200" is no preference, like node-a=100: a weight from 1 to 100',
    'annotation k3s-lite.io/vip-weight: "-1" is no weight: a number above 0, up to 1000',
  ]);
});

test.each([
  ['zone=west', true],
  ['zone==west', true],
  ['zone=east', false],
  ['zone!=east', true],
  ['missing!=x', true],
  ['zone in (east, west)', true],
  ['zone notin (east,west)', false],
  ['missing notin (x)', true],
  ['zone', true],
  ['missing', false],
  ['!missing,zone=west', true],
  ['', true],
])('the selector "%s" on zone=west: %s', (text, expected) => {
  expect(parseLabelSelector(text)({ zone: 'west' })).toBe(expected);
});
