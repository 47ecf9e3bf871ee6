import { expect, test } from 'vitest';
import type { StartupError } from '../../src/error/startup-error.ts';
import { readSettings } from '../../src/balancer/settings.ts';

const file = '/etc/k3s-lite/lb.yaml';

test('the least that can be said is a name and where to listen', () => {
  expect(readSettings('name: apiserver\nlisten: 127.0.0.1:6444\n', file)).toEqual({
    name: 'apiserver',
    listen: { host: '127.0.0.1', port: 6444 },
    servers: [],
    policy: 'sticky',
    check: 'tcp',
    checkEvery: 1000,
    checkWithin: 500,
    checkSilences: 2,
    dialStagger: 250,
    dialWithin: 5000,
    dialBudget: 10_000,
    graceRemoved: 5000,
    graceTakeover: 1000,
    graceDrained: 30_000,
    maxConnections: 8192,
  });
});

test('servers are addresses or URLs, with a weight where one is wanted', () => {
  const text = `
name: apiserver
listen: "[::1]:6444"
default: https://10.0.0.1:6443
servers: [https://Server-1.Example, 10.0.0.2:6443, {address: 10.0.0.3:6443, weight: 3}]
policy: weighted-random
check: {readyz: {ca: /etc/ca.crt, exclude: [etcd]}}
checkEvery: 2s
`;
  expect(readSettings(text, file)).toMatchObject({
    listen: { host: '::1', port: 6444 },
    default: '10.0.0.1:6443',
    servers: [
      { address: 'server-1.example:443', weight: 1 },
      { address: '10.0.0.2:6443', weight: 1 },
      { address: '10.0.0.3:6443', weight: 3 },
    ],
    check: { readyz: { ca: '/etc/ca.crt', exclude: ['etcd'] } },
    checkEvery: 2000,
  });
});

test('etcd is asked in a way of its own', () => {
  const text = `${good}check: {get: {scheme: http, path: /health}}\n`;
  expect(readSettings(text, file).check).toEqual({ get: { scheme: 'http', path: '/health' } });
});

const good = 'name: apiserver\nlisten: 127.0.0.1:6444\n';

test.each([
  ['an unknown key', `${good}polcy: sticky\n`, `${file}:3:1: unknown key "polcy", did you mean policy?`],
  ['a key that is missing', 'name: apiserver\n', `${file}:1:1: listen: `],
  ['a duration without a unit', `${good}checkEvery: 5\n`, `${file}:3:13: checkEvery: `],
  ['a server without a port', `${good}servers: [10.0.0.1]\n`, `${file}:3:11: servers.0: "10.0.0.1" is not host:port`],
  ['another policy', `${good}policy: roundrobin\n`, `${file}:3:9: policy: `],
  ['a relative path', `${good}store: lb.json\n`, `${file}:3:8: store: must be an absolute path`],
  ['broken YAML', 'name: [\n', `${file}:2:1: `],
])('%s is told with its place', (_name, text, message) => {
  let thrown: unknown;
  try {
    readSettings(text, file);
  } catch (error) {
    thrown = error;
  }
  expect((thrown as StartupError).code).toBe('ERR_CONFIG');
  expect((thrown as StartupError).message.slice(0, message.length)).toBe(message);
});

test('all mistakes are in the detail', () => {
  expect(() => readSettings('nme: a\nlisten: here\n', file)).toThrow(
    expect.objectContaining({ detail: { mistakes: [expect.any(String), expect.any(String), expect.any(String)] } }),
  );
});
