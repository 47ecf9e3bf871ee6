import { expect, test } from 'vitest';
import { explainFailure, tellingExcerpt, tellingLine } from '../../src/probe/hints.ts';

const holderOf = (port: number) => (port === 2379 ? { pid: 812, command: 'etcd' } : undefined);

test.each([
  [
    '{"level":"fatal","caller":"etcdmain/etcd.go:183","msg":"discovery failed","error":"listen tcp 127.0.0.1:2379: bind: address already in use"}',
    'discovery failed: listen tcp 127.0.0.1:2379: bind: address already in use (2379 is held by pid 812 etcd)',
    'port 2379 is held by pid 812 etcd: stop it, or choose another port',
  ],
  [
    'E1121 05:47:01.123456    4242 server.go:77] "failed to listen" err="listen tcp 0.0.0.0:10250: bind: address already in use"',
    'listen tcp 0.0.0.0:10250: bind: address already in use',
    'port 10250 is held by another process: stop it, or choose another port',
  ],
  [
    'Error: listen EADDRINUSE: address already in use 127.0.0.1:2379',
    'Error: listen EADDRINUSE: address already in use 127.0.0.1:2379 (2379 is held by pid 812 etcd)',
    'port 2379 is held by pid 812 etcd: stop it, or choose another port',
  ],
  [
    'LOG:  could not bind IPv4 address "127.0.0.1": Address already in use',
    'LOG:  could not bind IPv4 address "127.0.0.1": Address already in use',
    'another process holds the address: stop it, or choose another port',
  ],
  [
    'Error: unknown flag: --etcd-server',
    'Error: unknown flag: --etcd-server',
    "the program does not know --etcd-server: check `run` and `flags` of the unit, and the program's version",
  ],
  [
    'time="2026-01-01T00:00:00Z" level=error msg="failed to create \\"root\\"" error="mkdir /var/lib/x: permission denied"',
    'failed to create "root": mkdir /var/lib/x: permission denied',
    'no permission for /var/lib/x: check its owner and mode, and whether the unit needs root',
  ],
  [
    'open /etc/k3s-lite/ca.crt: no such file or directory',
    'open /etc/k3s-lite/ca.crt: no such file or directory',
    '/etc/k3s-lite/ca.crt does not exist: check the path and the unit that should make it',
  ],
])('%s', (line, told, hint) => {
  expect(tellingLine(['starting', line, 'shutting down'], { holderOf })).toBe(told);
  expect(explainFailure(['starting', line, 'shutting down'], { holderOf })).toBe(hint);
});

test.each([
  ['x509: certificate has expired or is not yet valid: current time …', 'expired'],
  ['tls: failed to verify certificate: x509: certificate signed by unknown authority', 'another CA'],
  ['x509: certificate is valid for localhost, not etcd.example', 'etcd.example'],
  ['tls: private key does not match public key', 'belong together'],
  ['write /data/wal: no space left on device', 'full'],
  ['accept: too many open files', 'limits.nofile'],
  ['fork/exec /usr/bin/etcd: exec format error', 'architecture'],
  ['open /proc/sys/net/ipv4/ip_forward: read-only file system', 'read-only'],
  ['runtime: cannot allocate memory', 'memory'],
])('%s is explained', (line, part) => {
  expect(explainFailure([line])).toContain(part);
});

test('the cause is found above the noise that follows it, and the last of several is taken', () => {
  const lines = ['panic: first', 'Error: the second reason', 'Usage:', '  etcd [flags]', ''];
  expect(tellingLine(lines)).toBe('Error: the second reason');
  expect(explainFailure(lines)).toBeUndefined();
});

test('without any loud line the last one speaks, and without lines nothing does', () => {
  expect(tellingLine(['one', 'two', '  '])).toBe('two');
  expect(tellingLine([])).toBeUndefined();
  expect(explainFailure([])).toBeUndefined();
});

test('what reaches the terminal is one short line without control characters', () => {
  const said = tellingLine([`\u001b[31merror\u001b[0m \u0007${'x'.repeat(5_000)}`]) ?? '';
  expect(said).toMatch(/^error x+…$/);
  expect(said.length).toBe(200);
});

test('a line made to be slow is read in no time', () => {
  const lines = Array.from({ length: 20 }, () => `EADDRINUSE${':1'.repeat(50_000)} ${'/a'.repeat(50_000)}`);
  const before = performance.now();
  explainFailure(lines);
  tellingLine(lines);
  expect(performance.now() - before).toBeLessThan(1_000);
});

test.each([
  ['E1121 05:47:01.123456       1 run.go:72] "command failed" err="open \\"x\\": it\\nbroke"', 'open "x": it broke'],
  ['F1121 05:47:01.123456       1 server.go:1] "it is over" key="value"', 'it is over'],
  ['E1121 05:47:01.123456       1 server.go:1] it is over: "why" err=', 'it is over: "why" err='],
])('of klog’s line %s the message is told', (line, told) => {
  expect(tellingLine([line])).toBe(told);
});

test('the line that says why is kept although a usage text of many lines follows it', () => {
  const usage = Array.from({ length: 30 }, (_, index) => `  --flag-${index}`);
  const excerpt = tellingExcerpt(['starting', 'flag provided but not defined: -nonsense', ...usage], 5);
  expect(excerpt).toEqual(['flag provided but not defined: -nonsense', ...usage.slice(-4)]);
  expect(tellingLine(excerpt)).toBe('flag provided but not defined: -nonsense');
  expect(tellingExcerpt(usage, 5)).toEqual(usage.slice(-5));
  expect(tellingExcerpt([...usage, 'EMFILE', 'the end'], 2)).toEqual(['EMFILE', 'the end']);
});
