/** A further server joins: a real join server on loopback, real certificates, files in a temporary folder. */
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { clusterFinder } from '../../../src/cluster/join/cluster-finder.ts';
import { readPasswords } from '../../../src/cluster/join/cluster-token.ts';
import type { JoinDeskPorts } from '../../../src/cluster/join/join-desk.ts';
import { startJoinServer, type JoinServer } from '../../../src/cluster/join/join-server.ts';
import { serverJoinBuiltin } from '../../../src/cluster/join/server-join-builtin.ts';
import { parseJoinUrls } from '../../../src/cluster/join/server-url.ts';
import { caHashOf, type Token } from '../../../src/cluster/join/token.ts';
import type { CriticalSettings } from '../../../src/cluster/join/wire.ts';
import { layoutOf, type Layout } from '../../../src/cluster/layout.ts';
import { readKnownMembers } from '../../../src/cluster/etcd/known-members.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import type { BuiltinContext } from '../../../src/unit/builtin.ts';
import { temporaryFolder } from '../settings-kit.ts';
import { deskKit, newAuthority, passwords, servingPair, settings, type Identity } from './desk-kit.ts';

let authority: Identity;
let layout: Layout;
let server: JoinServer | undefined;
let said: string[];
let url: string;

beforeAll(async () => {
  authority = await newAuthority('ours');
});
beforeEach(() => {
  layout = layoutOf({ dataDir: temporaryFolder(), runDir: '' });
  said = [];
});
afterEach(async () => {
  await server?.[Symbol.asyncDispose]();
  server = undefined;
});

async function serve(changes: Partial<JoinDeskPorts> = {}): Promise<void> {
  const servers = [
    { name: 's1', join: 'https://192.0.2.1:9345', api: '192.0.2.1:6443', etcd: '192.0.2.1:2379' },
    { name: 's3', join: 'https://192.0.2.3:9345', etcd: '192.0.2.3:2379' },
  ];
  const { ports } = deskKit(authority, authority, { servers: () => Promise.resolve({ servers }), ...changes });
  server = await startJoinServer({ host: '127.0.0.1', port: 0, ...(await servingPair(authority)), desk: ports });
  url = `https://127.0.0.1:${String(server.port)}`;
}

interface Joining {
  readonly nodeName?: string;
  readonly settings?: CriticalSettings;
  readonly token?: Partial<Token>;
}

function join({ nodeName = 's2', settings: own = settings, token: given = {} }: Joining = {}): Promise<void> {
  const caHash = caHashOf(authority.pem);
  const token = () => Promise.resolve<Token>({ user: 'server', password: passwords.server, caHash, ...given });
  const log = (line: string) => said.push(line);
  const finder = clusterFinder({
    urls: parseJoinUrls([url]),
    file: layout.knownServers,
    token,
    clock: systemClock,
    random: () => 0,
    log,
  });
  const ports = { layout, nodeName, settings: own, finder, token, clock: systemClock, notice: log };
  const context: Pick<BuiltinContext, 'signal' | 'log'> = { signal: new AbortController().signal, log };
  return serverJoinBuiltin(ports)(context as BuiltinContext);
}
const serverTls = (name: string) => path.join(layout.serverTls, name);

test('it has the authorities, both tokens, and who the members of etcd are', async () => {
  await serve();
  await join();
  expect(readFileSync(serverTls('server-ca.crt'), 'utf8')).toBe(authority.pem);
  expect(statSync(serverTls('etcd/ca.key')).mode & 0o777).toBe(0o600);
  expect(await readPasswords(layout)).toEqual(passwords);
  expect(await readKnownMembers(layout.etcdMembers)).toMatchObject({
    clientUrls: ['https://192.0.2.1:2379', 'https://192.0.2.3:2379'],
    members: [],
  });
});

test('[H8] the second time it asks nobody: whoever told it may be gone', async () => {
  await serve();
  await join();
  await server?.[Symbol.asyncDispose]();
  said = [];
  await join();
  expect(said).toEqual(['this machine has joined before: it starts from its own data']);
});

test('it is refused with other settings than the cluster has, with both values, at each start', async () => {
  await serve();
  const other = { ...settings, serviceCidr: '10.96.0.0/16' };
  await expect(join({ settings: other })).rejects.toMatchObject({
    code: 'ERR_JOIN_REFUSED',
    message: expect.stringMatching(/serviceCidr is 10\.96\.0\.0\/16 there and 10\.43\.0\.0\/16 here/) as string,
  });
  await join();
  await server?.[Symbol.asyncDispose]();
  await expect(join({ settings: other })).rejects.toMatchObject({
    code: 'ERR_JOIN_REFUSED',
    message: expect.stringContaining('serviceCidr is 10.96.0.0/16 here and 10.43.0.0/16 in the cluster') as string,
  });
});

test('it does not join itself', async () => {
  await serve();
  await expect(join({ nodeName: 's1' })).rejects.toMatchObject({
    code: 'ERR_JOIN_REFUSED',
    message: expect.stringContaining('it is this machine itself') as string,
  });
});

test('a token for nodes is not enough', async () => {
  await serve();
  await expect(join({ token: { user: 'node', password: passwords.node } })).rejects.toThrow('needs the server token');
});

test('a machine with a cluster of its own does not join another', async () => {
  await serve();
  mkdirSync(layout.serverTls, { recursive: true });
  writeFileSync(serverTls('server-ca.crt'), (await newAuthority('another')).pem);
  await expect(join()).rejects.toThrow('is of another cluster');
});

test('the first server may be given the others: its data is of the token’s cluster', async () => {
  await serve();
  await server?.[Symbol.asyncDispose]();
  mkdirSync(path.join(layout.etcdData, 'member'), { recursive: true });
  mkdirSync(layout.serverTls, { recursive: true });
  writeFileSync(serverTls('server-ca.crt'), authority.pem);
  await join();
  expect(said).toEqual(['this machine has data of the token’s cluster: it starts from that']);
});

test('what another server gives in place of the authorities is not believed', async () => {
  await serve({ authorityFiles: () => Promise.resolve({ '../escape.key': 'x' }) });
  await expect(join()).rejects.toThrow();
  await expect(readPasswords(layout)).rejects.toMatchObject({ code: 'ERR_TOKEN' });
});
