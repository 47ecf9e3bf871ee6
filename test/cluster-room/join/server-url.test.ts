import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { StartupError } from '../../../src/error/startup-error.ts';
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

test('any text is servers with a host and ports, or a mistake that repeats no credentials', () => {
  const secret = fc.stringMatching(/^[a-z0-9/?#@.-]{0,8}$/).map((text) => `secret${text}secret`);
  const nearly = fc
    .tuple(
      fc.constantFrom('https://', 'http://', '//', ''),
      fc.oneof(
        fc.constant(''),
        secret.map((text) => `user:${text}@`),
      ),
      fc.constantFrom('a', '192.0.2.1', '[::1]', '[::', ''),
      fc.constantFrom(':9345', ':0', ':', ':x', '/path', ''),
    )
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.string(), fc.webUrl(), nearly), { maxLength: 3 }), (texts) => {
      try {
        for (const { host, ports } of parseJoinUrls(texts)) {
          expect(host).not.toBe('');
          for (const port of ports) expect(new URL(originOf(host, port)).protocol).toBe('https:');
        }
      } catch (error) {
        expect(error).toBeInstanceOf(StartupError);
        expect(error).toMatchObject({ code: 'ERR_CONFIG' });
        expect(JSON.stringify((error as StartupError).toJSON())).not.toContain('secret');
      }
    }),
    { numRuns: 300 },
  );
});
