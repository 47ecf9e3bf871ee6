import { expect, test } from 'vitest';
import { originOf, parseJoinUrls } from '../../../src/cluster/join/server-url.ts';

test.each([
  ['https://server-1', 'server-1', [6443, 9345]],
  ['https://server-1:6443', 'server-1', [6443, 9345]],
  ['https://server-1:9345/', 'server-1', [9345]],
  ['https://server-1:443', 'server-1', [443]],
  ['server-1', 'server-1', [6443, 9345]],
  ['server-1:9345', 'server-1', [9345]],
  ['https://192.0.2.7:8443', '192.0.2.7', [8443]],
  ['https://[2001:db8::7]:9345', '2001:db8::7', [9345]],
])('%s is %s at the ports %j', (given, host, ports) => {
  expect(parseJoinUrls([given])).toEqual([{ given, host, ports }]);
});

test('several values, each a list, are one list without doubles, in the order given', () => {
  const urls = parseJoinUrls(['https://b,https://a:9345', 'https://b:6443', ' ', 'https://c']);
  expect(urls.map(({ host }) => host)).toEqual(['b', 'a', 'c']);
});

test('every wrong value is named in one error, and credentials in it are not repeated', () => {
  const wrong = ['http://a', 'https://user:secret@b', 'https://c/path', 'https://d:0', 'https://e:99999', 'https://?'];
  expect(() => parseJoinUrls(wrong)).toThrowErrorMatchingInlineSnapshot(
    `[StartupError: cannot use the servers to join: --server http://a must begin with https://, not http://; --server https://…@b must not carry credentials; they belong into --token; --server https://c/path must end after the port; --server https://d:0 must not have port 0; --server https://e:99999 is no URL; write it like https://server-1:9345; --server https://? is no URL; write it like https://server-1:9345]`,
  );
});

test('an origin has brackets round an IPv6 address', () => {
  expect(originOf('2001:db8::7', 9345)).toBe('https://[2001:db8::7]:9345');
  expect(originOf('a', 1)).toBe('https://a:1');
});
