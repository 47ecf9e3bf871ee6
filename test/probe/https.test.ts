import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type ServerOptions } from 'node:https';
import { createServer as createTcpServer } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createProbe } from '../../src/probe/create-probe.ts';
import type { TlsFiles } from '../../src/probe/tls.ts';
import { authority, type Files } from './certificates.ts';
import { contextOf, failureOf, listening, openHandles, passes, temporaryFolder } from './probe-fixture.ts';

let folder: ReturnType<typeof temporaryFolder>;
let ca: Awaited<ReturnType<typeof authority>>;
let server: Files;
let client: Files;

beforeAll(async () => {
  folder = temporaryFolder();
  ca = await authority(folder.path, 'test');
  server = await ca.sign('server');
  client = await ca.sign('client');
});
afterAll(() => {
  folder[Symbol.dispose]();
});

function serving(files: Files, options: ServerOptions = {}) {
  const https = createServer(
    { cert: readFileSync(files.cert), key: readFileSync(files.key), ...options },
    (_request, response) => response.end('ok'),
  );
  // A client that turns away is what these tests are about.
  https.on('tlsClientError', () => undefined);
  return listening(https);
}

const ask = (port: number, tls: TlsFiles) =>
  createProbe({ https: { url: `https://127.0.0.1:${port}/livez`, ...tls } }, contextOf());

test('an https check trusts the CA it was given, and only that', async () => {
  await using open = await serving(server);
  const before = openHandles();
  const other = await authority(folder.path, 'other');
  await passes(ask(open.port, { ca: ca.ca }));
  expect(await failureOf(ask(open.port, { ca: other.ca }))).toMatch(/^UNABLE_TO_VERIFY_LEAF_SIGNATURE|^SELF_SIGNED/);
  await expect.poll(openHandles).toBeLessThanOrEqual(before);
});

test('a server may demand a client certificate', async () => {
  await using open = await serving(server, { requestCert: true, ca: readFileSync(ca.ca) });
  await passes(ask(open.port, { ca: ca.ca, ...client }));
  expect(await failureOf(ask(open.port, { ca: ca.ca }))).toMatch(/certificate required|handshake failure|ECONNRESET/i);
});

test('certificates are read anew at each attempt', async () => {
  await using open = await serving(server, { requestCert: true, ca: readFileSync(ca.ca) });
  const later = { cert: `${client.cert}.later`, key: client.key };
  const probe = ask(open.port, { ca: ca.ca, ...later });
  expect(await failureOf(probe)).toBe(`cannot read cert ${later.cert}: ENOENT`);
  writeFileSync(later.cert, readFileSync(client.cert));
  await passes(probe);
  rmSync(later.cert);
});

test('an expired certificate and a wrong name are named', async () => {
  await using expired = await serving(await ca.sign('expired', { expired: true }));
  await using named = await serving(await ca.sign('named', { dns: 'etcd.example' }));
  expect(await failureOf(ask(expired.port, { ca: ca.ca }))).toBe('CERT_HAS_EXPIRED: certificate has expired');
  expect(await failureOf(ask(named.port, { ca: ca.ca }))).toMatch(/^ERR_TLS_CERT_ALTNAME_INVALID/);
  await passes(ask(named.port, { ca: ca.ca, serverName: 'etcd.example' }));
});

test('a server without TLS, and one that falls silent, fail without leaving anything open', async () => {
  await using plain = await listening(createTcpServer((socket) => socket.end('220 smtp ready\r\n')));
  await using silent = await listening(createTcpServer());
  const before = openHandles();
  expect(await failureOf(ask(plain.port, { ca: ca.ca }))).toMatch(/^TLS: wrong version number|packet length/);
  const controller = new AbortController();
  const check = ask(silent.port, { ca: ca.ca }).check(controller.signal);
  const reason = new Error('no answer within 2 s');
  setTimeout(() => {
    controller.abort(reason);
  }, 20);
  await expect(check).rejects.toBe(reason);
  await expect.poll(openHandles).toBeLessThanOrEqual(before);
});

test('a session is resumed, but now and then the server shows its certificate anew', async () => {
  const resumed: boolean[] = [];
  const https = createServer({ cert: readFileSync(server.cert), key: readFileSync(server.key) }, (_request, response) =>
    response.end('ok'),
  );
  https.on('secureConnection', (socket) => resumed.push(socket.isSessionReused()));
  await using open = await listening(https);
  const probe = ask(open.port, { ca: ca.ca });
  for (let attempt = 0; attempt < 63; attempt += 1) await passes(probe);
  const full = resumed.flatMap((isResumed, at) => (isResumed ? [] : [at]));
  expect(full).toEqual([0, 61]);
});

test('a server that was started anew with another certificate is not believed by an earlier session', async () => {
  const first = await serving(server);
  const { port } = first;
  const probe = ask(port, { ca: ca.ca });
  await passes(probe);
  await passes(probe);
  await first[Symbol.asyncDispose]();
  const other = await authority(folder.path, 'stranger');
  const stranger = await other.sign('posing');
  const https = createServer(
    { cert: readFileSync(stranger.cert), key: readFileSync(stranger.key) },
    (_request, response) => response.end('ok'),
  );
  https.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => https.listen(port, '127.0.0.1', resolve));
  try {
    expect(await failureOf(probe)).toMatch(/^UNABLE_TO_VERIFY_LEAF_SIGNATURE|^SELF_SIGNED/);
  } finally {
    await new Promise((resolve) => https.close(resolve));
  }
});
