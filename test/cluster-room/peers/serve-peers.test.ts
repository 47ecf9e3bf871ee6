/**
 * Heartbeats of two servers with etcd alone: no API tells them of each other, their members of etcd do. A third member
 * keeps none.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { loadSigner, makeAuthority, makeEcdsaKey, makeLeaf } from '../../../src/cluster/certificate-maker.ts';
import { rememberAddresses } from '../../../src/cluster/etcd/known-members.ts';
import { contentFor } from '../../../src/cluster/join/issue.ts';
import { readPeers } from '../../../src/cluster/peers/peer-list.ts';
import { servePeers } from '../../../src/cluster/peers/serve-peers.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { temporaryFolder } from '../settings-kit.ts';

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

test('[H9] servers with etcd alone keep heartbeats with each other, and nobody is warned of a member that keeps none', async () => {
  const authority = async (commonName: string) => {
    const key = await makeEcdsaKey();
    const pem = await makeAuthority({ name: 'server', certFile: '', keyFile: '', commonName }, key, Date.now());
    return { pem, signer: await loadSigner(pem, key) };
  };
  const [server, client] = [await authority('server'), await authority('client')];
  const ips = ['127.0.0.1', '127.0.0.2'];
  const foreign = '127.0.0.3';
  const port = await freePort();
  const ends = new Map(ips.map((ip) => [ip, new AbortController()]));
  const served: Promise<unknown>[] = [];
  onTestFinished(async () => {
    for (const end of ends.values()) end.abort(new Error('the test is over'));
    await Promise.all(served);
  });
  const told = new Map<string, string>();
  const folders = new Map<string, string>();
  for (const ip of ips) {
    const folder = temporaryFolder();
    folders.set(ip, folder);
    const tls = path.join(folder, 'tls');
    mkdirSync(tls);
    writeFileSync(path.join(tls, 'server-ca.crt'), server.pem);
    writeFileSync(path.join(tls, 'client-ca.crt'), client.pem);
    for (const [file, purpose, { signer }] of [
      ['client-kubelet', 'kubelet-client', client],
      ['serving-kubelet', 'kubelet-serving', server],
    ] as const) {
      const key = await makeEcdsaKey();
      writeFileSync(path.join(tls, `${file}.key`), key);
      writeFileSync(
        path.join(tls, `${file}.crt`),
        await makeLeaf(contentFor(purpose, ip, [ip]), key, signer, Date.now()),
      );
    }
    const membersFile = path.join(folder, 'etcd-members.json');
    await rememberAddresses(
      membersFile,
      [...ips, foreign].map((one) => `https://${one}:2379`),
    );
    const serving = servePeers({
      nodeName: ip,
      nodeIp: ip,
      host: ip,
      port,
      tls,
      membersFile,
      peersFile: path.join(folder, 'peers.json'),
      healthFile: path.join(folder, 'health.json'),
      bootId: 'boot',
      connect: () => Promise.reject(new Error('connect ECONNREFUSED')),
      clock: systemClock,
      log: () => undefined,
      notify: (...lines) => {
        if (lines.length > 1) told.set(ip, lines.join('\n'));
      },
      signal: ends.get(ip)?.signal ?? AbortSignal.abort(),
    });
    served.push(serving.catch(() => undefined));
  }
  const file = (ip: string, name: string) => () => readFileSync(path.join(folders.get(ip) ?? '', name), 'utf8');
  const patience = { timeout: 10_000 };
  for (const ip of ips) {
    const other = ips.find((one) => one !== ip) ?? '';
    await expect.poll(() => told.get(ip), patience).toMatch(/1 of 2 peers answer.*; never heard: 127\.0\.0\.3 /);
    await expect.poll(() => told.get(ip), patience).toContain('X_WARNING=\n');
    await expect.poll(file(ip, 'health.json'), patience).toContain(other);
    // So that a restart, in which it may be away, does not forget it.
    await expect.poll(() => readPeers(file(ip, 'peers.json')()).heard, patience).toEqual([other]);
  }
  ends.get('127.0.0.2')?.abort(new Error('it goes'));
  await expect.poll(() => told.get('127.0.0.1'), patience).toContain('X_WARNING=no heartbeat from 127.0.0.2');
  expect(told.get('127.0.0.1')).toMatch(/; silent: 127\.0\.0\.2 .*; never heard: 127\.0\.0\.3 /);
});
