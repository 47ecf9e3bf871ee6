/**
 * Certificates of a running control plane: shown, made anew while a client asks on fresh connections
 * all the time, and taken over by every component without a restart.
 */
import { existsSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import { connect } from 'node:tls';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as z from 'zod';
import { createCluster, type Cluster, type Up } from './kit/cluster.ts';
import { install, type Installation } from './kit/installation.ts';
import { steadyClient } from './kit/steady-client.ts';

let installation: Installation;
let cluster: Cluster;
let up: Up;

const patience = { timeout: 30_000 };

beforeAll(async () => {
  installation = await install();
  cluster = await createCluster({ installation });
  up = cluster.up();
  await up.events.ready();
});
afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  installation[Symbol.dispose]();
});

const listing = z.object({
  certificates: z.array(
    z.object({ service: z.string(), file: z.string(), serial: z.string(), isAuthority: z.boolean() }),
  ),
});
async function serials(): Promise<ReadonlyMap<string, string>> {
  const { code, out } = await cluster.run('certificate', 'check', '--json');
  expect(code).toBe(0);
  return new Map(listing.parse(JSON.parse(out)).certificates.map(({ file, serial }) => [file, serial]));
}

/** Of the certificate that a component shows, by a handshake as its clients make one. */
async function shownAt(port: number): Promise<string> {
  const tls = path.join(cluster.paths.dataDir, 'server/tls');
  const read = (name: string) => readFileSync(path.join(tls, name));
  const socket = connect({
    port,
    host: '127.0.0.1',
    ca: [read('server-ca.crt'), read('etcd/ca.crt')],
    cert: read('etcd/client.crt'),
    key: read('etcd/client.key'),
  });
  try {
    await once(socket, 'secureConnect');
    return socket.getPeerCertificate().serialNumber;
  } finally {
    socket.destroy();
  }
}

/** What serves with which file. */
const serving = [
  ['https-listen-port', 'serving-kube-apiserver.crt'],
  ['etcd-client-port', 'etcd/server.crt'],
  ['etcd-peer-port', 'etcd/peer.crt'],
  ['controller-manager-port', 'serving-kube-controller-manager.crt'],
  ['scheduler-port', 'serving-kube-scheduler.crt'],
] as const;

const pids = async () =>
  (await cluster.status()).units
    .filter(({ unit }) => ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'].includes(unit))
    .map(({ unit, pid }) => `${unit} ${String(pid)}`);

test('[H11] `certificate check` lists each certificate with its end', async () => {
  const { code, out } = await cluster.run('certificate', 'check', '--service', 'etcd,api-server');
  expect(code).toBe(0);
  expect(out).toMatch(/^SERVICE +NAME +ENDS +DAYS LEFT +STATE +FILE\n/);
  expect(out).toMatch(/^api-server +kube-apiserver +20\d\d-\d\d-\d\d +36[45] +good +\S+serving-kube-apiserver\.crt$/m);
  expect(out).not.toContain('scheduler');
  const wrong = await cluster.run('certificate', 'check', '--service', 'schedular');
  expect(wrong.code).toBe(3);
  expect(wrong.err).toContain('did you mean scheduler?');
});

test('[H11] all certificates are made anew while it runs: no request fails, nothing restarts, all serve the new ones', async () => {
  const before = { serials: await serials(), pids: await pids() };
  using client = steadyClient({ dataDir: cluster.paths.dataDir, port: cluster.port('https-listen-port') });
  await expect.poll(client.answers, patience).toBeGreaterThan(20);

  const { code, out, err } = await cluster.run('certificate', 'rotate');
  expect(code, err).toBe(0);
  const after = await serials();
  const isAuthority = (file: string) => /ca\.crt$/.test(file);
  for (const [file, serial] of before.serials) expect(after.get(file) === serial, file).toBe(isAuthority(file));
  const renewed = [...before.serials.keys()].filter((file) => !isAuthority(file));
  expect(out).toContain(`${String(renewed.length)} certificates are new, with the keys they had`);

  for (const [flag, file] of serving) {
    const wanted = after.get(path.join(cluster.paths.dataDir, 'server/tls', file));
    // kube-apiserver, controller-manager and scheduler see that the file has changed; etcd reads it at each handshake.
    await expect.poll(() => shownAt(cluster.port(flag)), { timeout: 90_000, interval: 500 }).toBe(wanted);
  }
  const answers = client.answers();
  await expect.poll(client.answers, patience).toBeGreaterThan(answers + 20);
  expect(await client.end()).toEqual([]);
  expect(await pids()).toEqual(before.pids);
  // The administrator's copy, which holds its certificate, is a new one too.
  const admin = readFileSync(path.join(cluster.paths.dataDir, 'k3s-lite.yaml'), 'utf8');
  const file = readFileSync(path.join(cluster.paths.dataDir, 'server/tls/client-admin.crt'));
  expect(admin).toContain(file.toString('base64'));
  expect((await cluster.kubectl('get', '--raw', '/readyz')).out).toBe('ok');
  // Its controllers write through their own certificates.
  await cluster.kubectl('create', 'deployment', 'later', '--image=none', '--replicas=1');
  await expect
    .poll(async () => (await cluster.kubectl('get', 'replicasets', '-o', 'name')).out, patience)
    .toContain('later');
});

test('one service alone, and while nothing runs: the next start makes the new ones', async () => {
  const before = await serials();
  expect((await cluster.run('certificate', 'rotate', '--service', 'scheduler')).code).toBe(0);
  const after = await serials();
  const changed = [...after]
    .filter(([file, serial]) => before.get(file) !== serial)
    .map(([file]) => path.basename(file));
  expect(changed.sort()).toEqual(['client-scheduler.crt', 'serving-kube-scheduler.crt']);

  expect((await up.interrupt()).code).toBe(0);
  const { code, out } = await cluster.run('certificate', 'rotate', '--service', 'etcd');
  expect(code).toBe(0);
  expect(out).toContain('the next start makes the new certificates');
  expect(await serials()).toEqual(after);
  up = cluster.up();
  await up.events.ready();
  const restarted = await serials();
  const made = [...restarted]
    .filter(([file, serial]) => after.get(file) !== serial)
    .map(([file]) => path.basename(file));
  expect(made.sort()).toEqual(['peer.crt', 'server.crt']);
  expect(existsSync(path.join(cluster.paths.dataDir, 'rotate-certificates.json'))).toBe(false);
});

test('authorities are not rotated, and why is said', async () => {
  const { code, err } = await cluster.run('certificate', 'rotate', '--service', 'authority');
  expect(code).toBe(3);
  expect(err).toContain('authorities are not rotated');
});
