import { describe, expect, test } from 'vitest';
import { noWishes, readWishes, stateOf, wishesObject, withPins, withWish } from '../../../src/vip/service/wishes.ts';

const known = { nodes: new Set(['a', 'b']), addresses: new Set(['10.1.2.3']) };

describe('what an operator asks for', () => {
  test('is kept as an object and read back the same', () => {
    let wishes = withWish(noWishes, 'drain', { node: 'a' }, known);
    wishes = withWish(wishes, 'cordon', { node: 'b' }, known);
    wishes = withWish(wishes, 'pin', { address: '10.1.2.3', node: 'b' }, known);
    expect(wishes).toEqual({ draining: ['a'], cordoned: ['b'], pins: { '10.1.2.3': 'b' } });
    expect(withWish(wishes, 'rebalance', {}, known)).toBe(wishes);
    expect(readWishes(wishesObject('kube-system', wishes))).toEqual(wishes);
  });

  test('is taken back', () => {
    const asked = { draining: ['a'], cordoned: ['a', 'b'], pins: { '10.1.2.3': 'b' } };
    expect(withWish(asked, 'undrain', { node: 'a' }, known).draining).toEqual([]);
    expect(withWish(asked, 'uncordon', { node: 'a' }, known).cordoned).toEqual(['b']);
    expect(withWish(asked, 'unpin', { address: '10.1.2.3' }, known).pins).toEqual({});
  });

  test('twice is once', () => {
    const once = withWish(noWishes, 'drain', { node: 'a' }, known);
    expect(withWish(once, 'drain', { node: 'a' }, known)).toEqual(once);
  });

  test('of a node or an address that there is not is refused, with those that there are', () => {
    expect(() => withWish(noWishes, 'drain', { node: 'c' }, known)).toThrow('c is none of a, b');
    expect(() => withWish(noWishes, 'pin', { node: 'a', address: '10.9.9.9' }, known)).toThrow('10.9.9.9');
  });

  test('an object without it has none; a broken one is an error', () => {
    expect(readWishes({ data: null })).toEqual(noWishes);
    expect(() => readWishes({ data: { wishes: '{"pins":[1]}' } })).toThrow();
  });
});

test.each([
  ['ready', {}, 'ready'],
  ['ready', { cordoned: ['a'] }, 'cordoned'],
  ['ready', { draining: ['a'], cordoned: ['a'] }, 'draining'],
  ['cordoned', { draining: ['a'] }, 'draining'],
  ['unready', { draining: ['a'] }, 'unready'],
  ['unready', { cordoned: ['a'] }, 'unready'],
] as const)('a node that is %s by itself, with %o, is %s', (byNode, asked, expected) => {
  expect(stateOf('a', byNode, { ...noWishes, ...asked })).toBe(expected);
});

test('a pin is with its address', () => {
  const addresses = [
    { address: '10.1.2.3', weight: 1 },
    { address: '10.1.2.4', weight: 1 },
  ];
  expect(withPins(addresses, { ...noWishes, pins: { '10.1.2.3': 'a' } })).toEqual([
    { address: '10.1.2.3', weight: 1, pinnedTo: 'a' },
    { address: '10.1.2.4', weight: 1 },
  ]);
});
