import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { inspect } from 'node:util';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import {
  ensureNodePassword,
  ensureTokens,
  readGivenToken,
  readPasswords,
  readToken,
  rotateTokens,
  type GivenToken,
} from '../../../src/cluster/join/cluster-token.ts';
import { caHashOf, parseToken } from '../../../src/cluster/join/token.ts';
import { layoutOf, type Layout } from '../../../src/cluster/layout.ts';
import { Secret } from '../../../src/kernel/secret.ts';
import { temporaryFolder } from '../settings-kit.ts';
import { newAuthority } from './desk-kit.ts';

const none: GivenToken = { token: undefined, tokenFile: undefined };
const given = (token: string): GivenToken => ({ ...none, token: new Secret(token) });
let authority: string;
let another: string;
let files: Layout;

beforeAll(async () => {
  [{ pem: authority }, { pem: another }] = await Promise.all([newAuthority('one'), newAuthority('two')]);
});
beforeEach(() => {
  files = layoutOf({ dataDir: temporaryFolder(), runDir: '' });
  mkdirSync(files.serverTls, { recursive: true });
  writeFileSync(path.join(files.serverTls, 'server-ca.crt'), authority);
});

test('a cluster makes a token for servers and another for nodes, which only their owner may read', async () => {
  expect(await ensureTokens(files, none)).toEqual({ isNew: true, isGivenIgnored: false });
  const [server, node] = [await readToken(files, 'server'), await readToken(files, 'node')];
  expect(parseToken(server, 'node')).toMatchObject({ user: 'server', caHash: caHashOf(authority) });
  expect(parseToken(node, 'server')).toMatchObject({ user: 'node', caHash: caHashOf(authority) });
  const passwords = await readPasswords(files);
  expect(passwords.server).not.toBe(passwords.node);
  expect([files.serverToken, files.nodeToken].map((file) => statSync(file).mode & 0o777)).toEqual([0o600, 0o600]);
});

test('the tokens stay from start to start, and files that were opened are closed again', async () => {
  await ensureTokens(files, none);
  const before = await readPasswords(files);
  chmodSync(files.serverToken, 0o644);
  expect(await ensureTokens(files, none)).toEqual({ isNew: false, isGivenIgnored: false });
  expect(await readPasswords(files)).toEqual(before);
  expect(statSync(files.serverToken).mode & 0o777).toBe(0o600);
});

test('an authority that was renewed gets its new hash into tokens with the same passwords', async () => {
  await ensureTokens(files, none);
  const before = await readPasswords(files);
  writeFileSync(path.join(files.serverTls, 'server-ca.crt'), another);
  await ensureTokens(files, none);
  expect(await readPasswords(files)).toEqual(before);
  expect(parseToken(await readToken(files, 'server'), 'server').caHash).toBe(caHashOf(another));
});

test('a token of one’s own choice is good for servers and agents alike', async () => {
  await ensureTokens(files, given('of-my-choice'));
  expect(await readPasswords(files)).toEqual({ server: 'of-my-choice', node: 'of-my-choice' });
});

test('a rotated token does not come back by way of an old configuration', async () => {
  await ensureTokens(files, given('of-my-choice'));
  await rotateTokens(files);
  const rotated = await readPasswords(files);
  expect(Object.values(rotated)).not.toContain('of-my-choice');
  expect(await ensureTokens(files, given('of-my-choice'))).toEqual({ isNew: false, isGivenIgnored: true });
  expect(await readPasswords(files)).toEqual(rotated);
});

test('a token is read from a file, at each call', async () => {
  const file = path.join(temporaryFolder(), 'token');
  const source: GivenToken = { ...none, tokenFile: file };
  await expect(readGivenToken(source, 'node')).rejects.toMatchObject({
    code: 'ERR_TOKEN',
    message: `cannot read the token from ${file}: ENOENT`,
  });
  writeFileSync(file, 'password\n');
  expect(await readGivenToken(source, 'node')).toEqual({ user: 'node', password: 'password', caHash: undefined });
  expect(await readGivenToken(none, 'node')).toBeUndefined();
});

test.each([
  ['is for nodes', `K10${'0'.repeat(64)}::node:password`, 'this one is for nodes'],
  ['is of another authority', `K10${'0'.repeat(64)}::server:password`, 'the hash of another authority'],
])('a server is not begun with a token that %s, and no message tells it', async (_, token, message) => {
  const error = await ensureTokens(files, given(token)).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'ERR_TOKEN', message: expect.stringContaining(message) as string });
  expect(inspect(error)).not.toContain('password"');
  expect(inspect(error)).not.toContain('0000');
});

test('a broken token file is named, and not overwritten', async () => {
  await ensureTokens(files, none);
  writeFileSync(files.serverToken, 'K10broken::server:secret');
  await expect(ensureTokens(files, none)).rejects.toMatchObject({
    code: 'ERR_TOKEN',
    message: `cannot use the token in ${files.serverToken}`,
  });
  expect(readFileSync(files.serverToken, 'utf8')).toBe('K10broken::server:secret');
});

test('where there is no token, it is said how to get one', async () => {
  await expect(readToken(files, 'server')).rejects.toThrow('`k3s-lite up --cluster-init` makes one');
  await expect(rotateTokens(files)).rejects.toThrow('`k3s-lite up --cluster-init` makes one');
});

test('a node keeps its password', async () => {
  const password = await ensureNodePassword(files.nodePassword);
  expect(password).toMatch(/^[0-9a-f]{32}$/);
  expect(await ensureNodePassword(files.nodePassword)).toBe(password);
  expect(statSync(files.nodePassword).mode & 0o777).toBe(0o600);
});

test('a secret shows itself in no text', () => {
  const secret = new Secret('hunter2');
  const shown = [
    String(secret),
    JSON.stringify({ secret }),
    inspect({ secret }, { showHidden: true }),
    secret.toString(),
  ];
  expect(shown.join()).not.toContain('hunter2');
  expect(secret.reveal()).toBe('hunter2');
});
