/**
 * What a stranger, a thief or a broken node may send to a join server: all of it is refused with a
 * reason, is one line of the log without a secret, and changes nothing.
 *
 *   raw bytes ─► TLS ─► serveJoin ─► files of a server, API in memory
 */
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { connect } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeEcdsaKey, makeRequest } from '../../../src/cluster/certificate-maker.ts';
import { readPasswords, rotateTokens, type TokenPasswords } from '../../../src/cluster/join/cluster-token.ts';
import { subjectFor } from '../../../src/cluster/join/issue.ts';
import { issuedCertificate, nodeHeaders, paths, refusal } from '../../../src/cluster/join/wire.ts';
import { layoutOf } from '../../../src/cluster/layout.ts';
import { basic } from './desk-kit.ts';
import { servedJoin, type ServedJoin } from './served-join.ts';

const nodePassword = 'n'.repeat(32);
let served: ServedJoin;
let passwords: TokenPasswords;
let csr: string;
beforeEach(async () => {
  served = await servedJoin();
  passwords = await readPasswords(layoutOf(served.settings));
  csr = await makeRequest(subjectFor('kubelet-client', 'w1'), await makeEcdsaKey());
});
afterEach(() => served.end());

interface Sent {
  readonly method?: string;
  readonly path?: string;
  readonly user?: 'server' | 'node';
  readonly password?: string;
  readonly headers?: readonly string[];
  readonly body?: string | Buffer;
}

/** The whole request, as it travels. */
function bytesOf(sent: Sent): Buffer {
  const { method = 'POST', user = 'node', path: target = paths.certificates, headers = [] } = sent;
  const body = Buffer.from(sent.body ?? JSON.stringify({ purpose: 'kubelet-client', csr }));
  const lines = [
    `${method} ${target} HTTP/1.1`,
    'host: join',
    `authorization: ${basic(user, sent.password ?? passwords[user])}`,
    `${nodeHeaders.name}: w1`,
    `${nodeHeaders.password}: ${nodePassword}`,
    'connection: close',
    `content-length: ${String(body.length)}`,
    ...headers,
  ];
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), body]);
}

const address = () => ({ host: '127.0.0.1', port: served.settings.joinPort, rejectUnauthorized: false });
const open = () =>
  connect(address()).on(
    'error',
    () => undefined, // The server may close while it is still being talked to.
  );

/** @returns everything that was answered, of one connection */
async function exchange(bytes: Buffer): Promise<string> {
  const socket = open();
  socket.write(bytes);
  return await text(socket).catch(() => '');
}

interface Answered {
  readonly status: number;
  readonly body: string;
}
function answerOf(received: string): Answered {
  // Of the chunks that it comes in, the JSON alone.
  return { status: Number(received.split(' ')[1] ?? 0), body: /\{.*\}/s.exec(received)?.[0] ?? '' };
}
const send = async (sent: Sent): Promise<Answered> => answerOf(await exchange(bytesOf(sent)));

/** All that a join server could have changed: its files and what it keeps in the API. */
function everything(): string {
  const { dataDir } = served.settings;
  const hash = createHash('sha256').update(JSON.stringify([...served.api.objects]));
  const names = readdirSync(dataDir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  for (const { parentPath, name } of names.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const file = path.join(parentPath, name);
    hash.update(`\n${file}\n`).update(readFileSync(file));
  }
  return hash.digest('hex');
}

function expectNoSecret(said: string): void {
  for (const secret of [...Object.values(passwords), nodePassword]) {
    expect(said).not.toContain(secret);
    expect(said).not.toContain(Buffer.from(secret).toString('base64'));
  }
}

const requestFor = async (commonName: string, organization = 'system:nodes') =>
  JSON.stringify({
    purpose: 'kubelet-client',
    csr: await makeRequest({ commonName, organization }, await makeEcdsaKey()),
  });
const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;

describe('[H5] a join server refuses, tells why, says no secret and changes nothing:', () => {
  test.each<[string, () => Sent | Promise<Sent>, number, string]>([
    [
      'the name of another node',
      async () => ({ body: await requestFor('system:node:w2') }),
      403,
      'may have CN=system:node:w1',
    ],
    [
      'the administrators',
      async () => ({ body: await requestFor('system:node:w1', 'system:masters') }),
      403,
      'system:masters',
    ],
    [
      'a name of control characters',
      async () => ({ body: await requestFor('w1\n\u001b[2Jsigned coredns') }),
      403,
      'may have',
    ],
    ['a wrong token', () => ({ password: 'x'.repeat(32) }), 401, 'not the node token'],
    [
      'the token of nodes where a server is needed',
      () => ({ path: paths.bootstrap, body: '{}' }),
      401,
      'not the server token',
    ],
    ['the beginning of the token', () => ({ password: passwords.node.slice(0, -1) }), 401, 'not the node token'],
    ['half a body', () => ({ body: '{"purpose":"kubelet' }), 400, 'no JSON'],
    ['a body of 20,000 lists', () => ({ body: nested(20_000) }), 400, 'not understood'],
    ['a body that is no text', () => ({ body: Buffer.from([0xff, 0xfe, 0, 0x80]) }), 400, 'no JSON'],
    [
      'keys that nobody knows',
      () => ({ body: '{"purpose":"coredns","csr":"","__proto__":{"user":"server"}}' }),
      400,
      '__proto__',
    ],
    ['addresses that are none', () => ({ body: '{"purpose":"coredns","csr":"","ips":["999.1.1.1"]}' }), 400, 'ips.0'],
    [
      'a request to sign of 9 KiB',
      () => ({ body: JSON.stringify({ purpose: 'coredns', csr: 'x'.repeat(9_000) }) }),
      400,
      'csr',
    ],
    ['a path with dots', () => ({ path: '/v1/../server/token' }), 404, 'nothing at this path'],
    ['another method', () => ({ method: 'DELETE' }), 405, 'POST'],
  ])('%s', async (_, make, status, why) => {
    const before = everything();
    const answer = await send(await make());
    expect(answer.status).toBe(status);
    expect(refusal.parse(JSON.parse(answer.body)).message).toContain(why);
    const said = served.lines.filter((line) => line.startsWith('refused 127.0.0.1 '));
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(/^[^\n\u0000-\u001f]{1,500}$/);
    expectNoSecret(`${served.lines.join('\n')}\n${answer.body}`);
    expect(everything()).toBe(before);
    // And whoever is in order is served as before.
    expect((await send({})).status).toBe(200);
  });

  // Before any of it is a request.
  test.each<[string, () => Sent, number, string]>([
    ['headers of 20 KiB', () => ({ headers: [`x-long: ${'x'.repeat(20 * 1024)}`] }), 431, 'headers are too long'],
    ['two lengths of one body', () => ({ headers: ['content-length: 5'] }), 400, 'no request'],
    ['a length and chunks', () => ({ headers: ['transfer-encoding: chunked'] }), 400, 'no request'],
    ['a header with a bare line feed', () => ({ headers: ['x-a: b\nx-b: c\rd'] }), 400, 'no request'],
    ['a body of 70 KB', () => ({ body: 'x'.repeat(70_000) }), 413, 'at most 65536 bytes'],
  ])('%s', async (_, make, status, why) => {
    const before = everything();
    const answer = await send(make());
    // The connection may have gone before the client, which is still sending, has read the answer.
    if (answer.status !== 0) {
      expect(answer.status).toBe(status);
      expect(refusal.parse(JSON.parse(answer.body)).message).toContain(why);
    }
    expect(served.lines.filter((line) => line.startsWith('refused '))).toEqual([
      expect.stringMatching(new RegExp(`^refused 127\\.0\\.0\\.1: ${String(status)} [^\\n]*${why}`)),
    ]);
    expectNoSecret(`${served.lines.join('\n')}\n${answer.body}`);
    expect(everything()).toBe(before);
    expect((await send({})).status).toBe(200);
  });

  test('a session that is resumed although no certificate was ever shown in it', async () => {
    // Found good by TLS 1.3 as node understands it, and of nobody all the same.
    const say = bytesOf({ password: 'x'.repeat(32) });
    const first = open();
    const [session] = (await once(first, 'session')) as [Buffer];
    first.destroy();
    const again = connect({ ...address(), session });
    let isReused = false;
    again.once('secureConnect', () => (isReused = again.isSessionReused()));
    again.write(say);
    expect(answerOf(await text(again))).toMatchObject({ status: 401 });
    expect(isReused).toBe(true);
    expect((await send({})).status).toBe(200);
  });

  test('a token that has been rotated since, with everything else right', async () => {
    const old = passwords.node;
    await rotateTokens(layoutOf(served.settings));
    const before = everything();
    const answer = await send({ password: old });
    expect(answer).toMatchObject({ status: 401 });
    expect(answer.body).toContain('not the node token');
    expect(everything()).toBe(before);
    expectNoSecret(`${served.lines.join('\n')}\n${answer.body}`);
  });
});

describe('[H5] a request that somebody sends again', () => {
  test('gives the same name to the same key once more, and nothing to anybody else', async () => {
    const bytes = bytesOf({});
    const [first, again] = [answerOf(await exchange(bytes)), answerOf(await exchange(bytes))];
    const [one, other] = [first, again].map(
      ({ body }) => new X509Certificate(issuedCertificate.parse(JSON.parse(body)).certificate),
    );
    expect(other?.subject).toBe(one?.subject);
    // Of no use without the private key, which never travels.
    expect(other?.publicKey.equals(one?.publicKey as never)).toBe(true);
    expect(served.api.objects.size).toBe(1);
    // With a key of the thief's own, the password of the node is missing.
    const thief = bytesOf({ body: await requestFor('system:node:w1') });
    const stolen = Buffer.from(thief.toString('latin1').replace(nodePassword, 'm'.repeat(32)), 'latin1');
    expect(answerOf(await exchange(stolen)).body).toContain('belongs to another node');
  });

  test('is worth nothing once the token has been rotated', async () => {
    const bytes = bytesOf({});
    expect(answerOf(await exchange(bytes)).status).toBe(200);
    await rotateTokens(layoutOf(served.settings));
    expect(answerOf(await exchange(bytes)).status).toBe(401);
  });

  test('behind another one on the same connection is a request like any other', async () => {
    const first = bytesOf({ path: paths.ping, method: 'GET', body: '' });
    const smuggled = Buffer.from(first.toString('latin1').replace('connection: close\r\n', ''), 'latin1');
    const received = await exchange(Buffer.concat([smuggled, bytesOf({ password: 'wrong' })]));
    expect([...received.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, status]) => status)).toEqual(['200', '401']);
  });
});
