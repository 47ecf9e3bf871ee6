import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cleanAddresses, isOwnAddress, parseServerAddress, serverOfUrl } from '../../src/balancer/server-address.ts';

describe('the URL of a server', () => {
  test.each([
    ['[k3s 26] https without a port is 443', 'https://server.example', 'server.example:443'],
    ['[k3s 27] http without a port is 80', 'http://server.example', 'server.example:80'],
    ['[k3s 28] an explicit port is kept', 'https://10.0.0.1:6443', '10.0.0.1:6443'],
  ])('%s', (_name, url, address) => {
    expect(serverOfUrl(url)).toEqual({ ok: true, value: address });
  });

  test.each([
    ['[k3s 29] no host is an error', 'https://', 'is not a URL'],
    ['[k3s 30] a bad URL is an error', 'https://10.0.0.1:port', 'is not a URL'],
    ['another scheme is an error', 'ftp://10.0.0.1', 'neither https:// nor http://'],
  ])('%s', (_name, url, reason) => {
    expect(serverOfUrl(url)).toMatchObject({ ok: false, error: expect.stringContaining(reason) as unknown });
  });

  test('an address of IPv6 keeps its brackets', () => {
    expect(serverOfUrl('https://[FD00::1]:6443')).toEqual({ ok: true, value: '[fd00::1]:6443' });
  });
});

describe('a list of addresses', () => {
  const messy = ['10.0.0.2:6443', '', '10.0.0.1:6443', '10.0.0.2:6443', ' '];

  test('[k3s 31] is sorted, without what is twice or empty, and says that one is in it', () => {
    expect(cleanAddresses(messy, '10.0.0.2:6443')).toEqual({
      addresses: ['10.0.0.1:6443', '10.0.0.2:6443'],
      refused: [],
      found: true,
    });
  });

  test('[k3s 32] says that one is not in it', () => {
    expect(cleanAddresses(messy, '10.0.0.3:6443').found).toBe(false);
  });

  test('[k3s 33] an empty name is never found', () => {
    expect(cleanAddresses(messy, '').found).toBe(false);
  });

  test('[k3s 34] of nothing but empty names it is empty', () => {
    expect(cleanAddresses(['', '  '])).toEqual({ addresses: [], refused: [], found: false });
  });

  test('what is no address is told and left out', () => {
    const { addresses, refused } = cleanAddresses(['10.0.0.1:6443', '10.0.0.2:0', ':6443', '10.0.0.3']);
    expect(addresses).toEqual(['10.0.0.1:6443']);
    expect(refused).toHaveLength(3);
    expect(refused[0]).toBe('"10.0.0.2:0" is not host:port with a port from 1 to 65535');
  });
});

test('any text is a server whose address reads as itself, or none', () => {
  const nearly = fc
    .tuple(fc.constantFrom('10.0.0.1', '[::1]', '[::', '::1', 'A.b', ''), fc.constantFrom(':', ''), fc.nat(99_999))
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.webUrl(), nearly), (text) => {
      for (const parsed of [parseServerAddress(text), serverOfUrl(text), serverOfUrl(`https://${text}`)]) {
        if (parsed.ok) expect(parseServerAddress(parsed.value)).toEqual(parsed);
      }
    }),
    { numRuns: 500 },
  );
});

test('one server has one way of being written', () => {
  for (const text of ['Server-1.Example:6443', ' server-1.example:6443 ']) {
    expect(parseServerAddress(text)).toEqual({ ok: true, value: 'server-1.example:6443' });
  }
});

test.each([
  ['127.0.0.1:6444', '127.0.0.1:6444', true],
  ['localhost:6444', '127.0.0.1:6444', true],
  ['127.0.0.1:6444', '0.0.0.0:6444', true],
  ['127.0.0.1:6443', '127.0.0.1:6444', false],
  ['127.0.0.2:6444', '127.0.0.1:6444', false],
  ['10.0.0.1:6444', '127.0.0.1:6444', false],
])('%s, seen from a listener on %s, is itself: %s', (server, own, expected) => {
  expect(isOwnAddress(server, own)).toBe(expected);
});
