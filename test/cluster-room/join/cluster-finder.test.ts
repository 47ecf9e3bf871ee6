import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { readKnownServers } from '../../../src/cluster/discovery/known-servers-file.ts';
import { clusterFinder, type ClusterFinder } from '../../../src/cluster/join/cluster-finder.ts';
import { startJoinServer, type JoinServer } from '../../../src/cluster/join/join-server.ts';
import { parseJoinUrls } from '../../../src/cluster/join/server-url.ts';
import { caHashOf } from '../../../src/cluster/join/token.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { freePorts } from '../../cluster/kit/free-ports.ts';
import { temporaryFolder } from '../settings-kit.ts';
import { deskKit, newAuthority, servingPair, type Identity } from './desk-kit.ts';

const { signal } = new AbortController();
let authority: Identity;
let server: JoinServer;
/** Nobody listens there. */
let gone: string;
let there: string;
let file: string;
let lines: string[];

beforeAll(async () => {
  authority = await newAuthority('ours');
});
beforeEach(async () => {
  const { ports } = deskKit(authority, authority);
  const [goneAt = 0, port = 0] = await freePorts(2);
  server = await startJoinServer({ host: '127.0.0.1', port, ...(await servingPair(authority)), desk: ports });
  gone = `https://127.0.0.1:${String(goneAt)}`;
  there = `https://127.0.0.1:${String(server.port)}`;
  file = path.join(temporaryFolder(), 'agent/known-servers.json');
  lines = [];
});
afterEach(() => server[Symbol.asyncDispose]());

const finderOf = (...urls: string[]): ClusterFinder =>
  clusterFinder({
    urls: parseJoinUrls(urls),
    file,
    token: () => Promise.resolve({ user: 'node', password: 'node-password', caHash: caHashOf(authority.pem) }),
    clock: systemClock,
    random: () => 0,
    log: (line) => lines.push(line),
  });
const kept = () => readKnownServers(readFileSync(file, 'utf8'), Date.now()).known;

test('[H3] who has answered is asked first the next time, and who failed is left alone for a while', async () => {
  const finder = finderOf(gone, there);
  const first = await finder.find(signal);
  expect(first.cluster).toMatchObject({ origin: there, failures: [`${gone}: ECONNREFUSED`] });
  const second = await finder.find(signal);
  expect(second.cluster).toMatchObject({ origin: there, failures: [] });
});

test('[H2] a node whose own server is gone finds the cluster through one that it was told of before', async () => {
  const before = finderOf(gone);
  await before.learn([there]);
  await before.find(signal);
  const after = finderOf(gone);
  expect((await after.find(signal)).cluster.origin).toBe(there);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test('[H4] when everybody is in backoff, everybody is asked again', async () => {
  const finder = finderOf(gone);
  for (let round = 0; round < 2; round += 1) {
    await expect(finder.find(signal)).rejects.toMatchObject({
      code: 'ERR_JOIN',
      message: expect.stringContaining(`${gone}: ECONNREFUSED`) as string,
    });
  }
});

test('[H4] who is spared in a round is told of with its last error', async () => {
  const finder = finderOf(gone, there);
  await finder.find(signal);
  await server[Symbol.asyncDispose]();
  const error = finder.find(signal);
  await expect(error).rejects.toThrow(`${there}: ECONNREFUSED; ${gone}: ECONNREFUSED (before)`);
});

test('a server that never answered is not kept over a restart', async () => {
  await expect(finderOf(gone).find(signal)).rejects.toThrow();
  expect(kept()).toEqual([]);
  await finderOf(gone, there).find(signal);
  expect(kept().map(({ origin }) => origin)).toEqual([there]);
});

test('of servers that nobody has asked yet, the one that was named first is asked first', async () => {
  expect((await finderOf(gone, there).find(signal)).cluster.failures).toHaveLength(1);
  expect((await finderOf(there, gone).find(signal)).cluster.failures).toHaveLength(0);
});

test('a damaged file is said and does not matter', async () => {
  const finder = finderOf(there);
  await finder.learn([]);
  writeFileSync(file, '{');
  expect((await finderOf(there).find(signal)).cluster.origin).toBe(there);
  expect(lines).toEqual([`${file} is not used: it is no JSON`]);
});
