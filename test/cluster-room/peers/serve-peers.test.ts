/** Heartbeats of two servers with etcd alone: no API tells them of each other, their members of etcd do. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { loadSigner, makeAuthority, makeEcdsaKey, makeLeaf } from '../../../src/cluster/certificate-maker.ts';
import { rememberAddresses } from '../../../src/cluster/etcd/known-members.ts';
import { contentFor } from '../../../src/cluster/join/issue.ts';
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

test('[H9] servers with etcd alone keep heartbeats with each other', async () => {
  const authority = async (commonName: string) => {
    const key = await makeEcdsaKey();
    const pem = await makeAuthority({ name: 'server', certFile: '', keyFile: '', commonName }, key, Date.now());
    return { pem, signer: await loadSigner(pem, key) };
  };
  const [server, client] = [await authority('server'), await authority('client')];
  const ips = ['127.0.0.1', '127.0.0.2'];
  const port = await freePort();
  const end = new AbortController();
  const served: Promise<unknown>[] = [];
  onTestFinished(async () => {
    end.abort(new Error('the test is over'));
    await Promise.all(served);
  });
  const status = new Map<string, string>();
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
      ips.map((one) => `https://${one}:2379`),
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
        for (const line of lines) if (line.startsWith('STATUS=')) status.set(ip, line);
      },
      signal: end.signal,
    });
    served.push(serving.catch(() => undefined));
  }
  for (const ip of ips) {
    await expect.poll(() => status.get(ip), { timeout: 10_000 }).toContain('1 of 1 peer answers');
    const health = () => readFileSync(path.join(folders.get(ip) ?? '', 'health.json'), 'utf8');
    await expect.poll(health, { timeout: 10_000 }).toContain(ips.find((one) => one !== ip));
  }
});
