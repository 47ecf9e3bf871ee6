import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { controlClient, isNotRunning } from '../../src/control/client.ts';
import { createControlServer } from '../../src/control/server.ts';
import { makePrivateFolder } from '../../src/control/socket-file.ts';
import { runFixture } from './run-fixture.ts';
import { fakeSource, temporaryFolder } from './fake-source.ts';

let folder: ReturnType<typeof temporaryFolder>;
let socketPath: string;
beforeEach(() => {
  folder = temporaryFolder();
  socketPath = path.join(folder.dir, 'run', 'control.sock');
});
afterEach(() => folder[Symbol.dispose]());

const serve = () => createControlServer({ socketPath, source: fakeSource('etcd').source });

test('only the owner can reach the socket: 0600 in a folder with 0700', async () => {
  mkdirSync(path.dirname(socketPath), { mode: 0o755 });
  await using _server = await serve();
  expect(statSync(socketPath).mode & 0o777).toBe(0o600);
  expect(statSync(path.dirname(socketPath)).mode & 0o777).toBe(0o700);
});

test('the socket is gone after close, and closing twice is harmless', async () => {
  const server = await serve();
  await Promise.all([server.close(), server.close()]);
  expect(existsSync(socketPath)).toBe(false);
});

test('the socket that a killed process left is replaced', async () => {
  mkdirSync(path.dirname(socketPath), { mode: 0o700 });
  await runFixture(socketPath);
  expect(existsSync(socketPath)).toBe(true);
  await using _server = await serve();
  const client = controlClient({ socketPath, dataDir: folder.dir });
  expect((await client.status()).units).toHaveLength(1);
});

test('the socket of a living process is left alone', async () => {
  await using server = await serve();
  await expect(serve()).rejects.toMatchObject({
    code: 'ERR_CONTROL',
    message: expect.stringContaining('another k3s-lite') as string,
  });
  const client = controlClient({ socketPath: server.socketPath, dataDir: folder.dir });
  expect((await client.status()).units).toHaveLength(1);
});

test('a path that no unix socket can have is refused with its reason', async () => {
  socketPath = path.join(folder.dir, 'x'.repeat(120), 'control.sock');
  await expect(serve()).rejects.toThrow(/longer than 107 bytes/);
});

test('a folder that others could replace is refused', () => {
  const open = path.join(folder.dir, 'open');
  mkdirSync(open);
  chmodSync(open, 0o777);
  expect(() => makePrivateFolder(path.join(open, 'run'))).toThrow(/can be changed by other users/);
  symlinkSync(open, path.join(folder.dir, 'link'));
  expect(() => makePrivateFolder(path.join(folder.dir, 'link'))).toThrow(/must be a folder of this user/);
});

test('without a k3s-lite the error says what was looked for and how to start one', async () => {
  const client = controlClient({ socketPath, dataDir: folder.dir });
  const failure = await client.status().catch((error: unknown) => error);
  expect(isNotRunning(failure)).toBe(true);
  expect(failure).toMatchObject({
    code: 'ERR_CONTROL',
    message: `no k3s-lite runs for ${folder.dir} (nothing answers on ${socketPath})`,
    detail: { hint: expect.stringContaining(`k3s-lite up --data-dir ${folder.dir}`) as string },
  });
});

test('a socket that nobody answers on was left by a kill: the error says what to do with what may still run', async () => {
  mkdirSync(path.dirname(socketPath), { mode: 0o700 });
  const killed = spawnSync(process.execPath, [
    '-e',
    'require("node:net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))',
    socketPath,
  ]);
  expect(killed.signal).toBe('SIGKILL');
  const failure = await controlClient({ socketPath, dataDir: folder.dir })
    .status()
    .catch((error: unknown) => error);
  expect(isNotRunning(failure)).toBe(true);
  expect(failure).toMatchObject({
    detail: {
      hint: `it was killed; what it started may still run: \`k3s-lite up --data-dir ${folder.dir}\` goes on with it, \`k3s-lite down --data-dir ${folder.dir}\` stops it`,
    },
  });
});

test.skipIf(process.getuid?.() !== 0)('data of another user: the error says whom to ask as', async () => {
  chownSync(folder.dir, 65_534, 65_534);
  const failure = await controlClient({ socketPath, dataDir: folder.dir })
    .status()
    .catch((error: unknown) => error);
  expect(failure).toMatchObject({
    detail: { hint: 'the data belongs to another user (uid 65534): if that one runs it, ask as that user' },
  });
});

test('something that answers but is no k3s-lite is told apart', async () => {
  mkdirSync(path.dirname(socketPath), { mode: 0o700 });
  const stranger = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}'));
  });
  await new Promise<void>((resolve) => void stranger.listen(socketPath, resolve));
  try {
    const failure = await controlClient({ socketPath, dataDir: folder.dir })
      .status()
      .catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'ERR_CONTROL', detail: { reason: 'protocol' } });
    expect(isNotRunning(failure)).toBe(false);
  } finally {
    await new Promise((resolve) => void stranger.close(resolve));
  }
});

test('a file in place of the socket is not deleted silently unless nobody answers on it', async () => {
  mkdirSync(path.dirname(socketPath), { mode: 0o700 });
  writeFileSync(socketPath, '');
  await using _server = await serve();
  expect(statSync(socketPath).isSocket()).toBe(true);
});
