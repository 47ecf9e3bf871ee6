import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { makeEcdsaKey, makeLeaf } from '../../../src/cluster/certificate-maker.ts';
import { askForRotation } from '../../../src/cluster/certificate-rotation.ts';
import { findCluster } from '../../../src/cluster/join/find-cluster.ts';
import type { JoinDeskPorts } from '../../../src/cluster/join/join-desk.ts';
import { joinClient } from '../../../src/cluster/join/join-client.ts';
import type { ClientIdentity } from '../../../src/cluster/join/join-request.ts';
import { startJoinServer, type JoinServer } from '../../../src/cluster/join/join-server.ts';
import { ensureNodeCertificates, nodeIdentity } from '../../../src/cluster/join/node-certificates.ts';
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
  const pair = await servingPair(server);
  running = await startJoinServer({
    host: '127.0.0.1',
    port: 0,
    ...pair,
    clientAuthority: client.pem,
    desk: kit.ports,
  });
  const origin = `https://127.0.0.1:${String(running.port)}`;
  const connect = async (user: TokenUser = 'node', password = passwords[user], identity?: ClientIdentity) => {
    const token = { user, password, caHash: caHashOf(server.pem) };
    const signal = new AbortController().signal;
    const cluster = await findCluster({ urls: parseJoinUrls([origin]), token, clock: systemClock, signal });
    return joinClient({ cluster, token, identity, clock: systemClock, signal });
  };
  return { ...kit, connect };
}

const node = { name: 'w1', password: 'p'.repeat(32) };
const ensure = (connect: Parameters<typeof ensureNodeCertificates>[0]['connect'], name = node.name, hasVip = false) =>
  ensureNodeCertificates({
    folder,
    node: { ...node, name },
    ips: ['192.0.2.9'],
    nowMs: Date.now(),
    hasVip,
    rotationFile: path.join(folder, 'rotate.json'),
    connect,
  });

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

  test('gets one for virtual IPs only when it has a part in them', async () => {
    const { connect } = await serve();
    await ensure(() => connect());
    expect(await ensure(() => connect(), node.name, true)).toEqual(['vip certificate: it was missing']);
    const { subject } = new X509Certificate(readFileSync(path.join(folder, 'client-vip.crt')));
    expect(subject).toBe('CN=k3s-lite:vip');
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

  test('makes new ones of the services that were asked for, once, with the same keys', async () => {
    const { connect } = await serve();
    await ensure(() => connect());
    const read = (name: string) => readFileSync(path.join(folder, name), 'utf8');
    const [before, key, other] = [read('serving-kubelet.crt'), read('serving-kubelet.key'), read('client-coredns.crt')];
    await askForRotation(path.join(folder, 'rotate.json'), ['kubelet'], 0);
    expect(await ensure(() => connect())).toEqual([
      'kubelet-client certificate: it was asked for',
      'kubelet-serving certificate: it was asked for',
    ]);
    expect(read('serving-kubelet.crt')).not.toBe(before);
    expect(read('serving-kubelet.key')).toBe(key);
    expect(read('client-coredns.crt')).toBe(other);
    expect(await ensure(() => Promise.reject(new Error('nobody is asked')))).toEqual([]);
  });

  test('goes on asking by its old certificate when the token has been rotated', async () => {
    const { connect, lines } = await serve();
    await ensure(() => connect());
    const identity = nodeIdentity(folder, node.name);
    const rotated = () => connect('node', 'of-yesterday', identity);
    await rm(path.join(folder, 'client-kube-proxy.crt'));
    expect(await ensure(rotated)).toEqual(['kube-proxy certificate: it was missing']);
    expect((await (await rotated()).servers()).servers).toHaveLength(1);
    // As itself only, and for nothing that a server's token is needed for.
    await expect(ensure(rotated, 'w2')).rejects.toMatchObject({ code: 'ERR_TOKEN' });
    await expect((await rotated()).bootstrap()).rejects.toMatchObject({ code: 'ERR_TOKEN' });
    expect(lines.join()).not.toContain('of-yesterday');
  });

  test.each([
    ['of another authority', () => server, 'system:node:w1', 'system:nodes'],
    ['of another component', () => client, 'system:kube-proxy', undefined],
    ['with the name of a node in no group', () => client, 'system:node:w1', undefined],
    ['of an administrator', () => client, 'system:node:w1', 'system:masters'],
  ])('a certificate %s is no proof', async (_what, authority, commonName, organization) => {
    const { connect } = await serve();
    const key = await makeEcdsaKey();
    const names = { name: 'x', commonName, ...(organization === undefined ? {} : { organization }) };
    const content = { ...names, usages: ['client' as const], dnsNames: [], ips: [] };
    const cert = await makeLeaf(content, key, authority().signer, Date.now());
    const client1 = await connect('node', 'of-yesterday', { cert, key });
    await expect(client1.servers()).rejects.toMatchObject({ code: 'ERR_TOKEN' });
  });

  test('with a certificate that has expired needs the token', async () => {
    const { connect } = await serve();
    const key = await makeEcdsaKey();
    const content = {
      name: 'x',
      commonName: 'system:node:w1',
      organization: 'system:nodes',
      usages: ['client' as const],
    };
    const longAgoMs = Date.now() - 400 * 86_400_000;
    const cert = await makeLeaf({ ...content, dnsNames: [], ips: [] }, key, client.signer, longAgoMs);
    await expect((await connect('node', 'of-yesterday', { cert, key })).servers()).rejects.toMatchObject({
      code: 'ERR_TOKEN',
    });
    expect((await (await connect('node', passwords.node, { cert, key })).servers()).servers).toHaveLength(1);
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
