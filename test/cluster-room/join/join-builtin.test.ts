import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { readKnownServers } from '../../../src/cluster/discovery/known-servers-file.ts';
import { clusterFinder } from '../../../src/cluster/join/cluster-finder.ts';
import { joinBuiltin } from '../../../src/cluster/join/join-builtin.ts';
import type { JoinDeskPorts } from '../../../src/cluster/join/join-desk.ts';
import { startJoinServer, type JoinServer } from '../../../src/cluster/join/join-server.ts';
import { readJoined } from '../../../src/cluster/join/joined.ts';
import { parseJoinUrls } from '../../../src/cluster/join/server-url.ts';
import { caHashOf, parseToken } from '../../../src/cluster/join/token.ts';
import { layoutOf, type Layout } from '../../../src/cluster/layout.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import type { BuiltinContext } from '../../../src/unit/builtin.ts';
import { temporaryFolder } from '../settings-kit.ts';
import { deskKit, newAuthority, servingPair, settings, type Identity } from './desk-kit.ts';

const balancer = 'https://127.0.0.1:6444';
let authority: Identity;
let layout: Layout;
let server: JoinServer | undefined;
let notices: string[];
let withHash: boolean;

beforeAll(async () => {
  authority = await newAuthority('ours');
});
beforeEach(() => {
  layout = layoutOf({ dataDir: temporaryFolder(), runDir: '' });
  notices = [];
  withHash = true;
});
afterEach(async () => {
  await server?.[Symbol.asyncDispose]();
  server = undefined;
});

async function serve(changes: Partial<JoinDeskPorts> = {}): Promise<string> {
  const { ports } = deskKit(authority, authority, changes);
  server = await startJoinServer({ host: '127.0.0.1', port: 0, ...(await servingPair(authority)), desk: ports });
  return `https://127.0.0.1:${String(server.port)}`;
}

function join(url: string): Promise<void> {
  const caHash = withHash ? caHashOf(authority.pem) : undefined;
  const finder = clusterFinder({
    urls: parseJoinUrls([url]),
    file: layout.knownServers,
    token: () => Promise.resolve({ user: 'node', password: 'node-password', caHash }),
    clock: systemClock,
    random: () => 0,
    log: (line) => notices.push(line),
  });
  const notice = (text: string) => notices.push(text);
  const builtin = joinBuiltin({ layout, apiServer: balancer, finder, clock: systemClock, notice });
  const context: Pick<BuiltinContext, 'signal' | 'log'> = {
    signal: new AbortController().signal,
    log: () => undefined,
  };
  return builtin(context as BuiltinContext);
}

test('a node writes down where the API servers are, that it reaches them by its balancer, and the cluster’s settings', async () => {
  const url = await serve();
  await join(url);
  expect(await readJoined(layout.joined)).toEqual({ apiServer: balancer, apiServers: ['192.0.2.1:6443'], settings });
  expect(notices).toEqual([`the cluster was found through ${url}; its API is at 192.0.2.1:6443`]);
});

test('[H4] one that has joined before goes on while no server can be asked, and says so', async () => {
  const url = await serve();
  await join(url);
  await server?.[Symbol.asyncDispose]();
  notices.length = 0;
  await join(url);
  expect(notices.join()).toContain('ECONNREFUSED; going on with what is known from before');
});

test('one that has not joined before does not go on', async () => {
  const url = await serve();
  await server?.[Symbol.asyncDispose]();
  await expect(join(url)).rejects.toMatchObject({ code: 'ERR_JOIN' });
  await expect(readJoined(layout.joined)).rejects.toMatchObject({ code: 'ERR_JOIN' });
});

test('[H1] of several servers all with an API are known from then on', async () => {
  const servers = [
    { name: 's1', join: 'https://192.0.2.1:9345' },
    { name: 's2', join: 'https://192.0.2.2:9345', api: '192.0.2.2:6443' },
    { name: 's3', join: 'https://192.0.2.3:9345', api: '192.0.2.3:6443' },
  ];
  await join(await serve({ servers: () => Promise.resolve({ servers }) }));
  expect((await readJoined(layout.joined)).apiServers).toEqual(['192.0.2.2:6443', '192.0.2.3:6443']);
  const known = readKnownServers(readFileSync(layout.knownServers, 'utf8'), Date.now()).known;
  expect(known.map(({ origin }) => origin)).toEqual(expect.arrayContaining(servers.map(({ join: origin }) => origin)));
});

test('a cluster without any API yet is asked again', async () => {
  const url = await serve({ servers: () => Promise.resolve({ servers: [] }) });
  await expect(join(url)).rejects.toThrow('knows of no server with an API yet');
});

test('certificates of another cluster are not gone on with', async () => {
  mkdirSync(layout.agentTls, { recursive: true });
  for (const name of ['server-ca.crt', 'client-ca.crt']) writeFileSync(path.join(layout.agentTls, name), 'another');
  await join(await serve());
  expect(existsSync(path.join(layout.agentTls, 'server-ca.crt'))).toBe(false);
  expect(existsSync(path.join(layout.agentTls, 'client-ca.crt'))).toBe(false);
  expect(notices.join()).toContain('another than before');
});

test('the authority that is known stays as it is', async () => {
  mkdirSync(layout.agentTls, { recursive: true });
  writeFileSync(path.join(layout.agentTls, 'server-ca.crt'), authority.pem);
  await join(await serve());
  expect(readFileSync(path.join(layout.agentTls, 'server-ca.crt'), 'utf8')).toBe(authority.pem);
});

test('a token without a hash is warned of', async () => {
  withHash = false;
  await join(await serve());
  expect(notices.join()).toContain('the token has no hash of the authority');
  // From then on no other authority is believed.
  const kept = parseToken(readFileSync(layout.agentToken, 'utf8'), 'node');
  expect(kept).toMatchObject({ user: 'node', password: 'node-password', caHash: caHashOf(authority.pem) });
  expect(statSync(layout.agentToken).mode & 0o777).toBe(0o600);
});
