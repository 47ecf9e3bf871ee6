import { get } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { joinRequest } from '../../../src/cluster/join/join-request.ts';
import { startJoinServer, type JoinServer } from '../../../src/cluster/join/join-server.ts';
import { paths, refusal } from '../../../src/cluster/join/wire.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { basic, deskKit, newAuthority, passwords, servingPair, type DeskKit, type Identity } from './desk-kit.ts';

let authority: Identity;
let server: JoinServer;
let kit: DeskKit;
beforeAll(async () => {
  authority = await newAuthority('ours');
});
const start = async (answerMs: number) =>
  startJoinServer({
    host: '127.0.0.1',
    port: 0,
    ...(await servingPair(authority)),
    desk: kit.ports,
    patience: { handshakeMs: 2_000, headersMs: 200, requestMs: 400, answerMs },
    mostOfOneAddress: 3,
  });
beforeEach(async () => {
  kit = deskKit(authority, authority);
  server = await start(30_000);
});
afterEach(() => server[Symbol.asyncDispose]());

const post = (body: string) =>
  joinRequest({
    origin: `https://127.0.0.1:${String(server.port)}`,
    path: paths.certificates,
    method: 'POST',
    body,
    headers: { authorization: basic('node', passwords.node) },
    authority: authority.pem,
    clock: systemClock,
    signal: new AbortController().signal,
  });

/** 0: the connection was closed. */
const statusOfPost = () =>
  post('{}').then(
    ({ status }) => status,
    () => 0,
  );

/** The status of a ping from another address of this machine. */
const pingFrom = (localAddress: string) =>
  new Promise<number | undefined>((resolve, reject) => {
    get({ host: '127.0.0.1', port: server.port, path: paths.ping, localAddress, ca: authority.pem, agent: false })
      .on('response', (response) => {
        resolve(response.resume().statusCode);
      })
      .on('error', reject);
  });

/** Resolves with what a connection has received when the server has closed it. */
const untilClosed = (begin: () => ReturnType<typeof connectTcp>) =>
  new Promise<string>((resolve) => {
    let received = '';
    const socket = begin();
    socket.on('data', (chunk) => (received += String(chunk)));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      resolve(received);
    });
  });

describe('the join port', () => {
  test('takes no body of more than 64 KiB', async () => {
    const reply = await post('x'.repeat(64 * 1024 + 1)).catch((error: unknown) => error);
    // Either the answer comes before the client has sent everything, or the connection has gone.
    if (reply instanceof Error) expect(reply.message).toMatch(/EPIPE|ECONNRESET|hang up/);
    else expect(reply).toMatchObject({ status: 413 });
    expect(await post('{}')).toMatchObject({ status: 400 });
  });

  test('answers a body that is malformed with what is wrong', async () => {
    const reply = await post('{"purpose"');
    expect(reply.status).toBe(400);
    expect(refusal.parse(JSON.parse(reply.body)).message).toContain('node');
  });

  test('answers who has no certificate and resumes a session, as its own health check does', async () => {
    await using asking = await startJoinServer({
      host: '127.0.0.1',
      port: 0,
      ...(await servingPair(authority)),
      clientAuthority: authority.pem,
      desk: deskKit(authority, authority).ports,
    });
    const ping = (session?: Buffer) =>
      new Promise<{ readonly ticket: Promise<Buffer>; readonly isResumed: boolean; readonly answer: string }>(
        (resolve) => {
          const socket = connectTls({ host: '127.0.0.1', port: asking.port, ca: authority.pem, session });
          const ticket = new Promise<Buffer>((resolveTicket) => socket.once('session', resolveTicket));
          socket.write(`GET ${paths.ping} HTTP/1.1\r\nhost: s1\r\nconnection: close\r\n\r\n`);
          socket.once('data', (chunk: Buffer) => {
            resolve({ ticket, isResumed: socket.isSessionReused(), answer: chunk.toString() });
            socket.destroy();
          });
        },
      );
    const first = await ping();
    expect(first).toMatchObject({ isResumed: false, answer: expect.stringContaining('200 OK') as string });
    const second = await ping(await first.ticket);
    expect(second).toMatchObject({ isResumed: true, answer: expect.stringContaining('200 OK') as string });
  });

  const authorization = `authorization: ${basic('node', passwords.node)}`;

  test('[H5] lets go of whoever says nothing before the handshake, and says so', async () => {
    await untilClosed(() => connectTcp(server.port, '127.0.0.1'));
    expect(kit.lines).toEqual(['refused 127.0.0.1: its TLS handshake took too long']);
  });

  test('says nothing of a connection that is only opened and closed, or speaks no TLS', async () => {
    await untilClosed(() => connectTcp(server.port, '127.0.0.1').end());
    await untilClosed(() => connectTcp(server.port, '127.0.0.1').end('GET /ping HTTP/1.1\r\n\r\n'));
    expect(kit.lines).toEqual([]);
  });

  test.each([
    ['headers', `GET /ping HTTP/1.1\r\nhost: a\r\n${authorization}\r\nx-slow: `],
    ['a body', `POST ${paths.certificates} HTTP/1.1\r\nhost: a\r\n${authorization}\r\ncontent-length: 1000\r\n\r\n{`],
  ])('[H5] lets go of whoever sends %s byte by byte, and says why without a secret', async (_, beginning) => {
    const received = await untilClosed(() => {
      const socket = connectTls({ host: '127.0.0.1', port: server.port, ca: authority.pem });
      socket.write(beginning);
      const dripping = setInterval(() => socket.write(' '), 50);
      return socket.once('close', () => {
        clearInterval(dripping);
      });
    });
    expect(received).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
    const { message } = refusal.parse(JSON.parse(received.slice(received.indexOf('{'))));
    expect(message).toBe('the request took too long to arrive');
    expect(kit.lines).toEqual([`refused 127.0.0.1: 408 ${message}`]);
    expect([...kit.nodes]).toEqual([]);
    expect(await post('{}')).toMatchObject({ status: 400 });
  });

  test('[H5] lets go of whoever asks and never reads an answer', async () => {
    await server[Symbol.asyncDispose]();
    server = await start(500);
    // Whole requests in each record of TLS: none is left half read when the answers have no place to go any more.
    const asking = `GET ${paths.authority} HTTP/1.1\r\nhost: a\r\n\r\n`.repeat(300);
    // As many as one address may have: they keep it out for as long as they are held.
    const holding = Array.from({ length: 3 }, () => {
      const socket = connectTls({ host: '127.0.0.1', port: server.port, ca: authority.pem });
      const ask = () => void socket.write(asking, (error) => error ?? ask());
      socket.on('error', () => undefined);
      return new Promise<typeof socket>((resolve) =>
        socket.once('secureConnect', () => {
          socket.pause();
          ask();
          resolve(socket);
        }),
      );
    });
    const held = await Promise.all(holding);
    await expect.poll(statusOfPost, { timeout: 10_000 }).toBe(400);
    for (const socket of held) socket.destroy();
  });

  test('has no more connections of one address than it may have, and takes others when these have gone', async () => {
    const hoarded = Array.from({ length: 3 }, () => connectTcp(server.port, '127.0.0.1').on('error', () => undefined));
    const gone = hoarded.map((socket) => new Promise((resolve) => socket.once('close', resolve)));
    // One too many is closed at once, and another address is not kept out.
    await expect(post('{}')).rejects.toThrow(/ECONNRESET|closed|disconnected|EPIPE/);
    expect(await pingFrom('127.0.0.2')).toBe(200);
    await Promise.all(gone);
    await expect.poll(statusOfPost).toBe(400);
  });

  test('proves itself by another certificate after it was renewed', async () => {
    const other = await newAuthority('other');
    const { certificate, key } = await servingPair(other);
    server.renew(certificate, key);
    await expect(post('{}')).rejects.toThrow();
  });
});
