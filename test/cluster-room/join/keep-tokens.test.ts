import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { beforeEach, expect, test } from 'vitest';
import { ensureCertificates } from '../../../src/cluster/certificates.ts';
import { ensureTokens, readPasswords, rotateTokens } from '../../../src/cluster/join/cluster-token.ts';
import { agreeOnTokens } from '../../../src/cluster/join/keep-tokens.ts';
import { layoutOf, type Layout } from '../../../src/cluster/layout.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { settingsIn, temporaryFolder } from '../settings-kit.ts';

/** Two servers of one cluster: the second has the first one's authorities and tokens. */
let one: Layout;
let two: Layout;
let stored: Map<string, string>;
let lines: string[];
const { signal } = new AbortController();
beforeEach(async () => {
  const settings = settingsIn(temporaryFolder(), { clusterInit: true });
  await ensureCertificates(settings, systemClock);
  one = layoutOf(settings);
  await ensureTokens(one, settings);
  const folder = temporaryFolder();
  cpSync(settings.dataDir, folder, { recursive: true });
  two = layoutOf({ dataDir: folder, runDir: '' });
  stored = new Map();
  lines = [];
});
const look = (files: Layout) =>
  agreeOnTokens({
    files,
    etcd: {
      get: (key) => Promise.resolve(stored.get(key)),
      put: (key, value) => Promise.resolve(void stored.set(key, value)),
    },
    log: (line) => lines.push(line),
    signal,
  });

test('tokens that were never rotated are nowhere but on the servers', async () => {
  await look(one);
  await look(two);
  expect(stored.size).toBe(0);
});

test('[H5] a rotation at one server is one at all, and what lies in etcd tells nobody the tokens', async () => {
  const before = await readPasswords(one);
  await rotateTokens(one);
  const rotated = await readPasswords(one);
  expect(rotated.server).not.toBe(before.server);
  await look(one);
  for (const password of Object.values(rotated)) expect([...stored.values()].join()).not.toContain(password);
  expect(await readPasswords(two)).toEqual(before);
  await look(two);
  expect(await readPasswords(two)).toEqual(rotated);
  // Nothing is left to do, at either.
  const kept = [...stored];
  await look(one);
  await look(two);
  expect([...stored]).toEqual(kept);
  expect(lines).toHaveLength(2);
  // And back the other way.
  await rotateTokens(two);
  await look(two);
  await look(one);
  expect(await readPasswords(one)).toEqual(await readPasswords(two));
});

test('of two rotations at once the one that came to etcd first counts at both', async () => {
  await Promise.all([rotateTokens(one), rotateTokens(two)]);
  await look(one);
  const first = await readPasswords(one);
  await look(two);
  expect(await readPasswords(two)).toEqual(first);
});

test('an older rotation in etcd, as after a reset to a snapshot, takes nothing back', async () => {
  await rotateTokens(one);
  await look(one);
  const snapshot = new Map(stored);
  await rotateTokens(one);
  await look(one);
  stored = snapshot;
  const newest = await readPasswords(one);
  await look(one);
  await look(two);
  expect(await readPasswords(one)).toEqual(newest);
  expect(await readPasswords(two)).toEqual(newest);
});

test.each(['{"version":1', '{"version":2}', '{"version":1,"number":9,"id":"x","sealed":"v1.a.b.c.d"}'])(
  'what lies there and is none changes nothing: %s',
  async (text) => {
    const before = readFileSync(one.serverToken, 'utf8');
    stored.set('/k3s-lite/tokens', text);
    await expect(look(one)).rejects.toThrow();
    expect(readFileSync(one.serverToken, 'utf8')).toBe(before);
  },
);

test('a server whose note of the rotation is damaged takes what lies in etcd', async () => {
  await rotateTokens(one);
  await look(one);
  writeFileSync(two.tokenRotation, '{"number":');
  await look(two);
  expect(await readPasswords(two)).toEqual(await readPasswords(one));
});
