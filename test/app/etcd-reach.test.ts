import { expect, test } from 'vitest';
import { checkEtcdReach } from '../../src/app/etcd-reach.ts';

const socket = 'unix:///run/k3s-lite/default/etcd.sock';
const listens = `https://127.0.0.1:2379,${socket}`;
const files = { 'etcd-cafile': '/ca', 'etcd-certfile': '/crt', 'etcd-keyfile': '/key' };

const check = (etcd: Record<string, string> | undefined, apiServer: Record<string, string>) => () => {
  const flags: Record<string, Record<string, string> | undefined> = { etcd, 'kube-apiserver': apiServer };
  checkEtcdReach({ has: (name) => flags[name] !== undefined, unit: (name) => ({ flags: flags[name] ?? {} }) as never });
};

test('the two agree on the socket, or on TLS, or one of them is another machine’s', () => {
  check({ 'listen-client-urls': listens }, { 'etcd-servers': socket })();
  check({ 'listen-client-urls': 'https://127.0.0.1:2379' }, { 'etcd-servers': 'https://127.0.0.1:2379', ...files })();
  check(undefined, { 'etcd-servers': socket })();
});

test('an etcd that does not listen there any more is told, with what to add', () => {
  const moved = check({ 'listen-client-urls': 'https://0.0.0.0:2379' }, { 'etcd-servers': socket });
  expect(moved).toThrow(`etcd does not listen at ${socket}, where kube-apiserver looks for it: add it to`);
});

test('files beside a socket, and https without files, are told', () => {
  expect(check({ 'listen-client-urls': listens }, { 'etcd-servers': socket, 'etcd-cafile': '/ca' })).toThrow(
    'kube-apiserver’s etcd-cafile would encrypt',
  );
  expect(check({ 'listen-client-urls': listens }, { 'etcd-servers': 'https://127.0.0.1:2379' })).toThrow(
    'need etcd-cafile, etcd-certfile, etcd-keyfile',
  );
});
