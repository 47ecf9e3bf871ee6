import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { findCluster } from '../../../src/cluster/join/find-cluster.ts';
import type { JoinDeskPorts } from '../../../src/cluster/join/join-desk.ts';
import { joinClient } from '../../../src/cluster/join/join-client.ts';
import { startJoinServer, type JoinServer } from '../../../src/cluster/join/join-server.ts';
import { ensureNodeCertificates } from '../../../src/cluster/join/node-certificates.ts';
import { parseJoinUrls } from '../../../src/cluster/join/server-url.ts';
import { caHashOf, type TokenUser } from '../../../src/cluster/join/token.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { deskKit, newAuthority, passwords, servingPair, settings, type Identity } from './desk-kit.ts';

let [server, client]: [Identity, Identity] = [undefined as never, undefined as never];
beforeAll(async () => {
  [server, client] = [await newAuthority('server'), await newAuthority('client')];
});

let folder: string;
let running: JoinServer | undefined;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'k3s-lite-join-'));
});
afterEach(async () => {
  await running?.[Symbol.asyncDispose]();
  running = undefined;
  await rm(folder, { recursive: true });
});

async function serve(changes: Partial<JoinDeskPorts> = {}) {
  const kit = deskKit(server, client, changes);
  running = await startJoinServer({ host: '127.0.0.1', port: 0, ...(await servingPair(server)), desk: kit.ports });
  const origin = `https://127.0.0.1:${String(running.port)}`;
  const connect = async (user: TokenUser = 'node', password = passwords[user]) => {
    const token = { user, password, caHash: caHashOf(server.pem) };
    const signal = new AbortController().signal;
    const cluster = await findCluster({ urls: parseJoinUrls([origin]), token, clock: systemClock, signal });
    return joinClient({ cluster, token, clock: systemClock, signal });
  };
  return { ...kit, connect };
}

const node = { name: 'w1', password: 'p'.repeat(32) };
const ensure = (connect: Parameters<typeof ensureNodeCertificates>[0]['connect'], name = node.name) =>
  ensureNodeCertificates({ folder, node: { ...node, name }, ips: ['192.0.2.9'], nowMs: Date.now(), connect });

describe('[H5] a node that joins', () => {
  test('gets its certificates, keeps its keys to itself, and asks for nothing the next time', async () => {
    const { connect } = await serve();
    expect(await ensure(() => connect())).toHaveLength(4);
    for (const name of ['client-kubelet', 'serving-kubelet', 'client-kube-proxy', 'client-coredns']) {
      expect(statSync(path.join(folder, `${name}.key`)).mode & 0o777).toBe(0o600);
    }
    expect(readFileSync(path.join(folder, 'server-ca.crt'), 'utf8')).toBe(server.pem);
    expect(await ensure(() => Promise.reject(new Error('nobody is asked')))).toEqual([]);
  });

  test('asks again for the one that is gone, with the same key', async () => {
    const { connect } = await serve();
    await ensure(() => connect());
    const key = readFileSync(path.join(folder, 'client-kubelet.key'), 'utf8');
    await rm(path.join(folder, 'client-kubelet.crt'));
    expect(await ensure(() => connect())).toEqual(['kubelet-client certificate: it was missing']);
    expect(readFileSync(path.join(folder, 'client-kubelet.key'), 'utf8')).toBe(key);
  });

  test('under a name that is taken is refused, and nothing is written', async () => {
    const { connect, nodes } = await serve();
    nodes.set('w1', 'another password of another node');
    await expect(ensure(() => connect())).rejects.toMatchObject({
      code: 'ERR_JOIN_REFUSED',
      message: expect.stringContaining('belongs to another node') as string,
    });
    expect(() => statSync(path.join(folder, 'client-kubelet.crt'))).toThrow('ENOENT');
  });

  test('with a token that has been rotated is told so', async () => {
    const { connect } = await serve();
    await expect(ensure(() => connect('node', 'of-yesterday'))).rejects.toMatchObject({ code: 'ERR_TOKEN' });
  });

  test('is told to wait while the API does not answer', async () => {
    const { connect } = await serve({ claimNode: () => Promise.reject(new Error('down')) });
    await expect(ensure(() => connect())).rejects.toMatchObject({ code: 'ERR_JOIN' });
  });

  test('keeps nothing of a server that signs something else', async () => {
    const { connect } = await serve({
      signers: () => Promise.resolve({ server: client.signer, client: server.signer }),
    });
    await expect(ensure(() => connect())).rejects.toMatchObject({
      code: 'ERR_JOIN',
      message: expect.stringContaining('its authority has changed') as string,
    });
    expect(() => statSync(path.join(folder, 'client-kubelet.crt'))).toThrow('ENOENT');
  });

  test('and has a broken certificate on disk is told which file', async () => {
    const { connect } = await serve();
    writeFileSync(path.join(folder, 'client-kubelet.crt'), 'nothing');
    await expect(ensure(() => connect())).rejects.toMatchObject({ code: 'ERR_CERTIFICATE' });
  });
});

describe('[H5] a server that joins', () => {
  test('gets the authorities by its token, and knows who is there', async () => {
    const { connect } = await serve();
    const asServer = await connect('server');
    expect((await asServer.bootstrap()).authorities).toEqual({
      'server-ca.crt': server.pem,
      'etcd/ca.key': 'a private key',
    });
    expect(await asServer.servers()).toMatchObject({ servers: [{ name: 's1' }] });
    await expect((await connect('node')).bootstrap()).rejects.toMatchObject({ code: 'ERR_TOKEN' });
  });

  test('is refused when its settings are of another cluster', async () => {
    const { connect } = await serve();
    const asServer = await connect('server');
    await asServer.compareSettings(settings);
    await expect(asServer.compareSettings({ ...settings, serviceCidr: '10.1.0.0/16' })).rejects.toMatchObject({
      code: 'ERR_JOIN_REFUSED',
      message: expect.stringContaining('serviceCidr is 10.1.0.0/16 there') as string,
    });
  });
});
