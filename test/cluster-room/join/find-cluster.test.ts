import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { findCluster } from '../../../src/cluster/join/find-cluster.ts';
import { joinClient } from '../../../src/cluster/join/join-client.ts';
import { startJoinServer, type JoinServer } from '../../../src/cluster/join/join-server.ts';
import { parseJoinUrls } from '../../../src/cluster/join/server-url.ts';
import { caHashOf, type Token } from '../../../src/cluster/join/token.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { deskKit, newAuthority, servingPair, type Identity } from './desk-kit.ts';

let ours: Identity;
let other: Identity;
let strange: Identity;
beforeAll(async () => {
  [ours, other, strange] = [await newAuthority('ours'), await newAuthority('other'), await newAuthority('strange')];
});

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one[Symbol.asyncDispose]();
});

/** A join server that says it is of `shown`, with a certificate of `proven`. */
async function serve(shown: Identity, proven = shown): Promise<JoinServer> {
  const { ports } = deskKit(shown, shown);
  const server = await startJoinServer({ host: '127.0.0.1', port: 0, ...(await servingPair(proven)), desk: ports });
  open.push(server);
  return server;
}

/** Accepts and says nothing, or closes at once. */
async function mute(closes = false): Promise<number> {
  const sockets: Socket[] = [];
  const server = createTcpServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    if (closes) socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push({
    [Symbol.asyncDispose]: () => {
      for (const socket of sockets) socket.destroy();
      return closed(server);
    },
  });
  return (server.address() as AddressInfo).port;
}
const closed = (server: Server) =>
  new Promise<void>(
    (resolve) =>
      void server.close(() => {
        resolve();
      }),
  );

const token = (caHash: string | undefined): Token => ({ user: 'node', password: 'node-password', caHash });
const find = (
  ports: readonly number[],
  { pem }: Identity,
  limits = { connectMs: 2_000, handshakeMs: 2_000, answerMs: 2_000 },
) =>
  findCluster({
    urls: parseJoinUrls(ports.map((port) => `https://127.0.0.1:${String(port)}`)),
    token: token(caHashOf(pem)),
    clock: systemClock,
    signal: new AbortController().signal,
    limits,
  });

describe('[H5] the authority', () => {
  test('comes from whichever server can be reached, and the others’ failures are told', async () => {
    const gone = await serve(ours);
    await gone[Symbol.asyncDispose]();
    const there = await serve(ours);
    const found = await find([gone.port, await mute(true), there.port], ours);
    expect(found).toMatchObject({
      origin: `https://127.0.0.1:${String(there.port)}`,
      authority: ours.pem,
      isVerified: true,
    });
    expect(found.failures).toEqual([
      `https://127.0.0.1:${String(gone.port)}: ECONNREFUSED`,
      expect.stringMatching(/: (?:ECONNRESET|EPIPE)$/),
    ]);
  });

  test('of another cluster is refused before anything else is said', async () => {
    const server = await serve(strange);
    await expect(find([server.port], ours)).rejects.toMatchObject({
      code: 'ERR_TOKEN',
      message: expect.stringContaining('not the one of the token') as string,
    });
  });

  test('that is only repeated by a server which has no certificate of it is refused', async () => {
    const server = await serve(ours, strange);
    await expect(find([server.port], ours)).rejects.toMatchObject({
      code: 'ERR_TOKEN',
      message: expect.stringContaining('its own certificate is not of') as string,
    });
  });

  test('of several certificates is believed as far as its hash speaks for it: what somebody adds is not', async () => {
    // The genuine authority has two certificates; whoever is in between adds a third, and has a certificate of that.
    const bundle = { ...ours, pem: ours.pem + other.pem };
    const tampered = await serve({ ...ours, pem: bundle.pem + strange.pem }, strange);
    await expect(find([tampered.port], bundle)).rejects.toMatchObject({
      code: 'ERR_TOKEN',
      message: expect.stringContaining('its own certificate is not of') as string,
    });
    const honest = await serve(bundle, ours);
    expect(await find([honest.port], bundle)).toMatchObject({ authority: bundle.pem, isVerified: true });
  });

  test('without a hash is believed, and the result says so', async () => {
    const server = await serve(ours);
    const urls = parseJoinUrls([`https://127.0.0.1:${String(server.port)}`]);
    const signal = new AbortController().signal;
    expect(await findCluster({ urls, token: token(undefined), clock: systemClock, signal })).toMatchObject({
      isVerified: false,
    });
  });
});

describe('[H6] a server that accepts and is silent', () => {
  test('is overtaken in a fraction of a second', async () => {
    const silent = await mute();
    const there = await serve(ours);
    const beganMs = systemClock.monotonicMs();
    const found = await find([silent, silent + 0, there.port], ours, {
      connectMs: 60_000,
      handshakeMs: 60_000,
      answerMs: 60_000,
    });
    expect(found.origin).toContain(String(there.port));
    expect(systemClock.monotonicMs() - beganMs).toBeLessThan(5_000);
  });

  test('is given up by the limit of the handshake alone', async () => {
    const silent = await mute();
    await expect(find([silent], ours, { connectMs: 60_000, handshakeMs: 100, answerMs: 60_000 })).rejects.toMatchObject(
      {
        code: 'ERR_JOIN',
        message: expect.stringContaining(`127.0.0.1:${String(silent)}: no TLS handshake within 0.10 s`) as string,
      },
    );
  });
});

test('[H4] every server’s reason is in the error, and no attempt is left', async () => {
  const gone = await serve(ours);
  await gone[Symbol.asyncDispose]();
  await expect(find([gone.port], ours)).rejects.toMatchObject({
    code: 'ERR_JOIN',
    detail: { failures: [`https://127.0.0.1:${String(gone.port)}: ECONNREFUSED`] },
  });
});

describe('[H1] a name that stands for several addresses', () => {
  const findByName = (port: number, addresses: readonly string[]) =>
    findCluster({
      urls: parseJoinUrls([`https://localhost:${String(port)}`]),
      token: token(caHashOf(ours.pem)),
      clock: systemClock,
      signal: new AbortController().signal,
      resolve: () => Promise.resolve(addresses),
    });

  test('is found through whichever of them answers, and is gone on with at that one', async () => {
    const { port } = await serve(ours);
    // One refuses, one swallows everything (TEST-NET-1 leads nowhere), and the third is it.
    const begunMs = performance.now();
    const found = await findByName(port, ['127.0.0.2', '192.0.2.1', '127.0.0.1']);
    expect(found).toMatchObject({
      origin: `https://localhost:${String(port)}`,
      connectTo: '127.0.0.1',
      isVerified: true,
    });
    expect(performance.now() - begunMs).toBeLessThan(2_000);
    const signal = new AbortController().signal;
    const client = joinClient({ cluster: found, token: token(undefined), clock: systemClock, signal });
    expect((await client.servers()).servers).toHaveLength(1);
  });

  test('has a reason for each of them when none answers', async () => {
    const { port } = await serve(ours);
    await open.pop()?.[Symbol.asyncDispose]();
    await expect(findByName(port, ['127.0.0.1', '127.0.0.2'])).rejects.toMatchObject({
      code: 'ERR_JOIN',
      message: expect.stringMatching(/127\.0\.0\.1: ECONNREFUSED, 127\.0\.0\.2: ECONNREFUSED/) as string,
    });
  });

  test('and is not believed because another server of that name is: each proves itself', async () => {
    const { port } = await serve(strange);
    await expect(findByName(port, ['127.0.0.1'])).rejects.toMatchObject({ code: 'ERR_TOKEN' });
  });

  test('that is not known says so', async () => {
    const unknown = findCluster({
      urls: parseJoinUrls(['https://no-such-server.invalid:9345']),
      token: token(undefined),
      clock: systemClock,
      signal: new AbortController().signal,
      resolve: () => Promise.reject(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' })),
    });
    await expect(unknown).rejects.toThrow('no-such-server.invalid:9345: ENOTFOUND');
  });
});
