import { describe, expect, test } from 'vitest';
import { changeLine, linkFinder, parseLinks } from '../../../src/vip/actuate/network-state.ts';

const answer = (...links: readonly object[]) => JSON.stringify(links);
const link = (ifname: string, addresses: readonly string[], more: object = {}) => ({
  ifindex: 3,
  ifname,
  link_type: 'ether',
  address: '02:00:00:00:00:01',
  flags: ['BROADCAST', 'UP', 'LOWER_UP'],
  addr_info: addresses.map((one) => ({ local: one.split('/')[0], prefixlen: Number(one.split('/')[1]) })),
  ...more,
});
const interfaceOf = (address: string, ...links: readonly object[]) =>
  linkFinder(parseLinks(answer(...links)))(address)?.name;

describe('the interface of an address', () => {
  test.each([
    ['whose network has it', [link('a', ['10.1.0.1/24']), link('b', ['10.0.0.1/24'])], 'b'],
    ['with the smaller network', [link('a', ['10.0.0.1/8']), link('b', ['10.0.0.2/24'])], 'b'],
    ['that is up', [link('a', ['10.0.0.1/24'], { flags: ['UP'] }), link('b', ['10.0.0.2/8'])], 'b'],
    ['that is Ethernet', [link('a', ['10.0.0.1/24'], { link_type: 'none' })], undefined],
    ['and not one whose own address it is', [link('a', ['10.0.0.50/32'])], undefined],
    ['and none without its network', [link('a', ['192.0.2.1/24', 'fd00::1/64'])], undefined],
    ['whose name needs no quoting', [link('a"; flush', ['10.0.0.1/24'])], undefined],
  ])('is the one %s', (_, links, expected) => {
    expect(interfaceOf('10.0.0.50', ...links)).toBe(expected);
  });

  test('an empty object among the addresses is none', () => {
    expect(parseLinks(answer(link('a', [], { addr_info: [{}] })))[0]?.addresses).toEqual([]);
  });

  test('what is no answer of ip is refused', () => {
    expect(() => parseLinks('Object "address" is unknown')).toThrow('ip gave no answer that we know');
  });
});

test('commands for both families', () => {
  expect(changeLine({ address: '10.0.0.50', interface: 'eth0', validS: 30 })).toBe(
    'address replace 10.0.0.50/32 dev eth0 valid_lft 30 preferred_lft 0 noprefixroute',
  );
  const six = { address: 'fd00::50', interface: 'eth0' };
  expect(changeLine({ ...six, validS: 30 })).toContain('fd00::50/128 dev eth0 valid_lft 30');
  expect(changeLine({ ...six, validS: 30 })).toMatch(/ nodad$/);
  expect(changeLine({ ...six, validS: undefined })).toBe('address delete fd00::50/128 dev eth0');
});
