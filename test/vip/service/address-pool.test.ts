import { describe, expect, test } from 'vitest';
import { FreeAddresses, parsePools, poolOf } from '../../../src/vip/service/address-pool.ts';
import { canonicalIp } from '../../../src/vip/ip-address.ts';

describe('an address has one text', () => {
  test.each([
    ['10.0.0.1', '10.0.0.1'],
    ['2001:DB8:0:0::1', '2001:db8::1'],
    ['::', '::'],
    ['::ffff:10.0.0.1', '::ffff:10.0.0.1'],
    ['64:ff9b::10.0.0.1', '64:ff9b::a00:1'],
    ['fe80::1%eth0', undefined],
    ['10.0.0', undefined],
    ['10.0.0.256', undefined],
  ])('%s: %s', (text, expected) => {
    expect(canonicalIp(text)).toBe(expected);
  });
});

test('pools are ranges by name; those without a name are one pool', () => {
  const pools = parsePools(['lan=10.1.2.0/30,10.1.3.5-10.1.3.6', '192.168.0.9', 'lan=fd00::/126', '192.168.0.7']);
  expect(pools.map(({ name, ranges }) => [name, ranges.map(({ text }) => text)])).toEqual([
    ['lan', ['10.1.2.0/30', '10.1.3.5-10.1.3.6', 'fd00::/126']],
    ['default', ['192.168.0.9', '192.168.0.7']],
  ]);
  expect(poolOf(pools, '10.1.3.6')?.name).toBe('lan');
  expect(poolOf(pools, 'fd00::3')?.name).toBe('lan');
  expect(poolOf(pools, '10.1.3.7')).toBeUndefined();
  expect(poolOf(pools, '::a01:306')).toBeUndefined();
});

test('free addresses come in order, over all ranges of the family, and end', () => {
  const [pool] = parsePools(['lan=10.1.2.0/31,fd00::/127,10.1.3.5']);
  const taken = new Set(['10.1.2.0']);
  const free = new FreeAddresses((address) => taken.has(address));
  const take = (family: 4 | 6) => {
    const address = pool === undefined ? undefined : free.first(pool, family);
    if (address !== undefined) taken.add(address);
    return address;
  };
  expect([take(4), take(4), take(4)]).toEqual(['10.1.2.1', '10.1.3.5', undefined]);
  expect([take(6), take(6), take(6)]).toEqual(['fd00::', 'fd00::1', undefined]);
});

test.each([
  ['lan=10.1.2.0/33', '"10.1.2.0/33" is no range of addresses, its prefix is too long'],
  ['lan=10.1.2.5/28', 'it begins at 10.1.2.0/28'],
  ['10.1.2.9-10.1.2.5', 'it ends before it begins'],
  ['10.1.2.9-fd00::', 'its ends are of two families'],
  ['lan=', '"" is no range of addresses: a network like 10.1.2.0/28'],
  ['Lan=10.1.2.5', '"Lan" is no name of a pool'],
  ['a=10.1.2.0/28,10.1.2.4', '10.1.2.4 of pool a and 10.1.2.0/28 of pool a have addresses in common'],
])('%s is refused', (flag, reason) => {
  expect(() => parsePools([flag])).toThrow(reason);
});
