import { describe, expect, test } from 'vitest';
import { parsePools } from '../../../src/vip/service/address-pool.ts';
import { allocate } from '../../../src/vip/service/allocate.ts';
import type { KubeService } from '../../../src/vip/service/kube-objects.ts';
import { service } from './service-kit.ts';

/** "web: 10.1.2.0" or "web: PoolExhausted no IPv4 …". */
function allocated(
  services: readonly KubeService[],
  pools = ['lan=10.1.2.0/30'],
  takesUnclassed = false,
): readonly string[] {
  return allocate(services, { pools: parsePools(pools), takesUnclassed }).map(
    ({ service: { metadata }, addresses, problem }) =>
      [`${metadata.name}:`, ...addresses, ...(problem === undefined ? [] : [problem.reason, problem.message])].join(
        ' ',
      ),
  );
}

describe('addresses from a pool', () => {
  test('the older Service is served first, whatever the order of the list', () => {
    const old = service('old', { created: '2025-01-01T00:00:00Z' });
    const expected = ['old: 10.1.2.0', 'new: 10.1.2.1'];
    expect(allocated([service('new'), old])).toEqual(expected);
    expect(allocated([old, service('new')])).toEqual(expected);
  });

  test('what a Service has by its status it keeps, also beside an older one that has none', () => {
    expect(
      allocated([service('old', { created: '2025-01-01T00:00:00Z' }), service('new', { has: ['10.1.2.0'] })]),
    ).toEqual(['old: 10.1.2.1', 'new: 10.1.2.0']);
  });

  test('what it was given is kept before its status says so', () => {
    const policy = { pools: parsePools(['10.1.2.0/30']), takesUnclassed: false };
    const younger = service('b');
    const given = new Map([['b', allocate([younger], policy)[0]?.addresses ?? []]]);
    const then = allocate([service('a', { created: '2025-01-01T00:00:00Z' }), younger], policy, given);
    expect(then.map(({ addresses }) => addresses)).toEqual([['10.1.2.1'], ['10.1.2.0']]);
  });

  test('an address that is in no pool any more is not kept', () => {
    expect(allocated([service('web', { has: ['10.9.9.9'] })])).toEqual(['web: 10.1.2.0']);
  });

  test('when all are taken it is said, and with which pools', () => {
    const services = ['a', 'b', 'c'].map((name) => service(name));
    expect(allocated(services, ['lan=10.1.2.0/31'])[2]).toBe(
      'c: PoolExhausted no IPv4 address is free in lan (10.1.2.0/31)',
    );
  });

  test('by the name of the pool; a wrong name is told with the nearest', () => {
    const pools = ['lan=10.1.2.0/30', 'dmz=10.5.0.0/30'];
    expect(allocated([service('web', { annotations: { pool: 'dmz' } })], pools)).toEqual(['web: 10.5.0.0']);
    expect(allocated([service('web', { annotations: { pool: 'lna' } })], pools)).toEqual([
      'web: Refused there is no pool "lna", did you mean lan?',
    ]);
  });

  test('1000 Services are served within a look', () => {
    const services = Array.from({ length: 1000 }, (_, at) => service(`s${String(at)}`));
    const beganMs = performance.now();
    expect(new Set(allocated(services, ['lan=10.1.0.0/16'])).size).toBe(1000);
    expect(performance.now() - beganMs).toBeLessThan(1000);
  });
});

describe('both families', () => {
  const dual = { spec: { ipFamilies: ['IPv4', 'IPv6'], ipFamilyPolicy: 'PreferDualStack' } };
  const required = { spec: { ...dual.spec, ipFamilyPolicy: 'RequireDualStack' } };

  test('one address of each', () => {
    expect(allocated([service('web', dual)], ['lan=10.1.2.0/30,fd00::10-fd00::20'])).toEqual([
      'web: 10.1.2.0 fd00::10',
    ]);
  });

  test('a family that no pool has is done without, unless it is required', () => {
    expect(allocated([service('web', dual)])).toEqual(['web: 10.1.2.0']);
    expect(allocated([service('web', required)])).toEqual([
      'web: 10.1.2.0 PoolExhausted no IPv6 address is free in lan (10.1.2.0/30)',
    ]);
  });
});

describe('exact addresses', () => {
  test('by annotation, several, and by spec.loadBalancerIP', () => {
    expect(allocated([service('web', { annotations: { addresses: '10.1.2.3, 10.1.2.1' } })])).toEqual([
      'web: 10.1.2.3 10.1.2.1',
    ]);
    expect(allocated([service('web', { spec: { loadBalancerIP: '10.1.2.2' } })])).toEqual(['web: 10.1.2.2']);
  });

  test('outside the pools nobody gets one', () => {
    expect(allocated([service('web', { spec: { loadBalancerIP: '10.0.0.1' } })])).toEqual([
      'web: Refused 10.0.0.1 is in no pool: there are lan (10.1.2.0/30)',
    ]);
    expect(allocated([service('web', { annotations: { addresses: 'ten' } })])).toEqual([
      'web: Refused "ten" is no address',
    ]);
  });

  test('what another has is a conflict', () => {
    const holder = service('a', { has: ['10.1.2.1'] });
    expect(allocated([service('b', { spec: { loadBalancerIP: '10.1.2.1' } }), holder])[1]).toBe(
      'b: Conflict 10.1.2.1 belongs to default/a, which does not share it with this Service',
    );
  });
});

describe('several Services on one address', () => {
  const sharing = (port: number, spec: object = {}) => ({
    annotations: { 'sharing-key': 'edge' },
    spec: { ports: [{ port }], ...spec },
  });

  test('with the same key and other ports', () => {
    expect(allocated([service('a', sharing(80)), service('b', sharing(443))])).toEqual(['a: 10.1.2.0', 'b: 10.1.2.0']);
  });

  test('a port that clashes gets another address, or with an exact one is told', () => {
    expect(allocated([service('a', sharing(80)), service('b', sharing(80))])).toEqual(['a: 10.1.2.0', 'b: 10.1.2.1']);
    const exact = sharing(80, { loadBalancerIP: '10.1.2.0' });
    expect(allocated([service('a', exact), service('b', exact)])[1]).toBe(
      'b: Conflict 10.1.2.0 is shared with default/a, which has port 80/TCP too',
    );
  });

  test('the same port of another protocol does not clash', () => {
    const udp = sharing(53, { ports: [{ port: 53, protocol: 'UDP' }] });
    expect(allocated([service('a', sharing(53)), service('b', udp)])).toEqual(['a: 10.1.2.0', 'b: 10.1.2.0']);
  });

  test('with externalTrafficPolicy Local only with the same selector', () => {
    const local = { externalTrafficPolicy: 'Local' };
    const a = service('a', sharing(80, { ...local, selector: { app: 'x' } }));
    expect(allocated([a, service('b', sharing(443, { selector: { app: 'x' } }))])[1]).toBe('b: 10.1.2.0');
    expect(allocated([a, service('b', sharing(443, { selector: { app: 'y' } }))])[1]).toBe('b: 10.1.2.1');
  });
});

test('whose Services are ours', () => {
  const services = [
    service('other', { spec: { loadBalancerClass: 'example.com/lb' } }),
    service('none', { spec: { loadBalancerClass: undefined } }),
    service('internal', { spec: { type: 'ClusterIP' } }),
    service('ours'),
  ];
  expect(allocated(services)).toEqual(['ours: 10.1.2.0']);
  expect(allocated(services, ['lan=10.1.2.0/30'], true)).toEqual(['none: 10.1.2.0', 'ours: 10.1.2.1']);
});
