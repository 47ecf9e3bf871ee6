/**
 * The join server with real files, certificates and HTTPS; only the Kubernetes API is in memory.
 *
 *   files of a server ─► serveJoin ◄─ findCluster, joinClient ◄─ ensureNodeCertificates
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readToken, rotateTokens } from '../../../src/cluster/join/cluster-token.ts';
import { findCluster } from '../../../src/cluster/join/find-cluster.ts';
import { joinClient, type JoinClient } from '../../../src/cluster/join/join-client.ts';
import { ensureNodeCertificates } from '../../../src/cluster/join/node-certificates.ts';
import { parseJoinUrls } from '../../../src/cluster/join/server-url.ts';
import { parseToken, type TokenUser } from '../../../src/cluster/join/token.ts';
import { layoutOf } from '../../../src/cluster/layout.ts';
import type { Settings } from '../../../src/cluster/settings.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { temporaryFolder } from '../settings-kit.ts';
import { settings as shared } from './desk-kit.ts';
import { servedJoin, type ServedJoin } from './served-join.ts';

const clock = systemClock;
let served: ServedJoin;
let settings: Settings;
beforeEach(async () => {
  served = await servedJoin();
  ({ settings } = served);
});
afterEach(() => served.end());

async function clientWith(user: TokenUser): Promise<JoinClient> {
  const { signal } = served;
  const token = parseToken(await readToken(layoutOf(settings), user), user);
  const urls = parseJoinUrls([`https://127.0.0.1:${String(settings.joinPort)}`]);
  const cluster = await findCluster({ urls, token, clock, signal });
  expect(cluster.isVerified).toBe(true);
  return joinClient({ cluster, token, clock, signal });
}

test('a node gets its certificates with the node token, and its name by its password', async () => {
  const folder = path.join(temporaryFolder(), 'tls');
  const client = await clientWith('node');
  const fetch = (password: string, into: string) =>
    ensureNodeCertificates({
      folder: into,
      node: { name: 'w1', password },
      ips: ['192.0.2.21'],
      nowMs: clock.wallMs(),
      rotationFile: path.join(into, 'rotate.json'),
      connect: () => Promise.resolve(client),
    });
  expect(await fetch('p'.repeat(32), folder)).toHaveLength(4);
  const kubelet = new X509Certificate(readFileSync(path.join(folder, 'client-kubelet.crt')));
  expect(kubelet.subject).toBe('O=system:nodes\nCN=system:node:w1');
  const { serverTls } = layoutOf(settings);
  expect(kubelet.verify(new X509Certificate(readFileSync(path.join(serverTls, 'client-ca.crt'))).publicKey)).toBe(true);
  await expect(fetch('q'.repeat(32), path.join(folder, 'other'))).rejects.toMatchObject({
    code: 'ERR_JOIN_REFUSED',
    message: expect.stringContaining('belongs to another node') as string,
  });
});

test('it tells where the API is, and which settings the cluster has', async () => {
  const client = await clientWith('node');
  const [server] = (await client.servers()).servers;
  expect(server).toMatchObject({ name: 's1', api: `${settings.nodeIp}:6443` });
  expect(await client.settings()).toEqual(shared);
});

test('a server gets all authorities, with their keys, as they are on disk', async () => {
  const { authorities: files, nodePassword } = await (await clientWith('server')).bootstrap();
  expect(parseToken(await readToken(layoutOf(settings), 'node'), 'node').password).toBe(nodePassword);
  const { serverTls } = layoutOf(settings);
  expect(Object.keys(files).sort()).toEqual([
    'client-ca.crt',
    'client-ca.key',
    'etcd/ca.crt',
    'etcd/ca.key',
    'request-header-ca.crt',
    'request-header-ca.key',
    'server-ca.crt',
    'server-ca.key',
    'service.key',
  ]);
  for (const [name, text] of Object.entries(files)) expect(text).toBe(readFileSync(path.join(serverTls, name), 'utf8'));
});

test('a node token is not good for the authorities', async () => {
  await expect((await clientWith('node')).bootstrap()).rejects.toMatchObject({ code: 'ERR_TOKEN' });
});

test('a rotated token counts at once, and the old one no more', async () => {
  const before = await clientWith('node');
  await rotateTokens(layoutOf(settings));
  await expect(before.servers()).rejects.toMatchObject({ code: 'ERR_TOKEN' });
  expect((await (await clientWith('node')).servers()).servers).toHaveLength(1);
});

test('no line of its log has a token in it', async () => {
  const passwords = await Promise.all((['server', 'node'] as const).map((user) => readToken(layoutOf(settings), user)));
  await (await clientWith('server')).bootstrap();
  expect(served.lines.join('\n')).toContain('gave the authorities, sealed');
  for (const token of passwords) expect(served.lines.join('\n')).not.toContain(token.split(':').at(-1));
});
