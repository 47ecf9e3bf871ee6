/** Who is kept waiting for an etcd, and sent to it: real sockets, a fake clock. */
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect, createServer, type Socket } from 'node:net';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { etcdStandIn } from '../../../src/cluster/etcd/etcd-stand-in.ts';
import { fakeClock } from '../../kit/fake-clock.ts';
import { temporaryFolder } from '../settings-kit.ts';

/** Source: src/cluster/etcd/etcd-stand-in.ts. */
const holdMs = 18_000;
const mostHeld = 512;

function standing() {
  const folder = temporaryFolder();
  const socketPath = path.join(folder, 'etcd.sock');
  const clock = fakeClock();
  const troubles: string[] = [];
  const standIn = etcdStandIn({ socketPath, clock, onTrouble: (reason) => troubles.push(reason) });
  onTestFinished(() => standIn[Symbol.dispose]());
  return { folder, socketPath, clock, troubles, standIn };
}

/** Connected; what it is told until it is closed. */
async function client(socketPath: string) {
  const socket = connect(socketPath);
  const parts: Buffer[] = [];
  socket.on('data', (part) => parts.push(part)).on('error', () => undefined);
  // Not by `once`, which an error rejects: who is refused may be told by a reset.
  const closed = new Promise<Buffer>((resolve) => socket.once('close', () => resolve(Buffer.concat(parts))));
  await once(socket, 'connect');
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  return { socket, closed, isOpen: () => !socket.closed && parts.length === 0 };
}

/** As etcd begins to listen: whatever is at its socket goes. */
async function etcdAt(socketPath: string) {
  rmSync(socketPath, { force: true });
  const accepted: Socket[] = [];
  const server = createServer((socket) => accepted.push(socket)).listen(socketPath);
  onTestFinished(() => {
    for (const socket of accepted) socket.destroy();
    server.close();
  });
  await once(server, 'listening');
  return { server, accepted };
}

/** A client's turn after a turn of the server's. */
const heldTimers = (clock: ReturnType<typeof fakeClock>, count: number) =>
  expect.poll(() => clock.pendingTimers).toBe(count);

test('its place is taken at once; who connects waits, and is greeted and sent away when etcd is back', async () => {
  const { folder, socketPath, clock, standIn } = standing();
  standIn.take();
  expect(readdirSync(folder)).toEqual(['etcd.sock']);
  expect(statSync(socketPath).mode & 0o777).toBe(0o600);
  const one = await client(socketPath);
  const other = await client(socketPath);
  await heldTimers(clock, 2);
  await clock.advance(holdMs - 1);
  expect([one.isOpen(), other.isOpen()]).toEqual([true, true]);
  standIn.sendOn();
  // SETTINGS without any, then GOAWAY of stream 0 with NO_ERROR.
  expect((await one.closed).toString('hex')).toBe('000000040000000000' + '0000080700000000000000000000000000');
  expect(await other.closed).toHaveLength(26);
  expect(clock.pendingTimers).toBe(0);
});

test('a client of HTTP/2 takes that for a connection that was made, and closed without fault', async () => {
  const { socketPath, clock, standIn } = standing();
  standIn.take();
  const session = connectHttp2('http://etcd', { createConnection: () => connect(socketPath) });
  const [settled, gone] = [once(session, 'remoteSettings'), once(session, 'goaway')];
  const closed = once(session, 'close');
  await heldTimers(clock, 1);
  standIn.sendOn();
  await settled;
  expect((await gone).slice(0, 2)).toEqual([0, 0]);
  await closed;
});

test('nobody waits for longer than a client of gRPC would, and each for as long as it is there', async () => {
  const { socketPath, clock, standIn } = standing();
  standIn.take();
  const first = await client(socketPath);
  await heldTimers(clock, 1);
  await clock.advance(10_000);
  const second = await client(socketPath);
  await heldTimers(clock, 2);
  await clock.advance(holdMs - 10_000);
  expect(await first.closed).toHaveLength(26);
  expect(second.isOpen()).toBe(true);
  second.socket.destroy();
  await heldTimers(clock, 0);
});

test('etcd takes its socket back, and it stays when the stand-in leaves; who waits does so over an etcd that ends again', async () => {
  const { folder, socketPath, clock, standIn } = standing();
  standIn.take();
  const waits = await client(socketPath);
  await heldTimers(clock, 1);
  const failing = await etcdAt(socketPath);
  failing.server.close();
  standIn.take();
  const later = await client(socketPath);
  await heldTimers(clock, 2);
  const etcd = await etcdAt(socketPath);
  standIn.sendOn();
  expect(await Promise.all([waits.closed, later.closed])).toMatchObject([{ length: 26 }, { length: 26 }]);
  const again = await client(socketPath);
  await expect.poll(() => etcd.accepted.length).toBe(1);
  expect(again.isOpen()).toBe(true);
  expect(readdirSync(folder)).toEqual(['etcd.sock']);
  again.socket.destroy();
});

test('who is refused gets no word, and nobody is let in afterwards', async () => {
  const { socketPath, clock, standIn } = standing();
  standIn.take();
  const waits = await client(socketPath);
  await heldTimers(clock, 1);
  standIn.refuse();
  expect(await waits.closed).toHaveLength(0);
  expect(clock.pendingTimers).toBe(0);
  const refused = connect(socketPath);
  expect(await once(refused, 'error')).toMatchObject([{ code: 'ECONNREFUSED' }]);
});

test('no more wait than are waited for', async () => {
  const { socketPath, clock, standIn } = standing();
  standIn.take();
  const all: Awaited<ReturnType<typeof client>>[] = [];
  while (all.length < mostHeld) all.push(await client(socketPath));
  await heldTimers(clock, mostHeld);
  const tooMany = await client(socketPath);
  expect(await tooMany.closed).toHaveLength(0);
  for (const { socket } of all) socket.destroy();
  await heldTimers(clock, 0);
});

/** What is due in this turn of the event loop, and what that brings, has happened. */
const turns = async () => {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => void setImmediate(resolve));
};

test('where it cannot listen that is told once, and nothing is left', async () => {
  const { folder, clock, troubles } = standing();
  const socketPath = path.join(folder, 'not-there', 'etcd.sock');
  const standIn = etcdStandIn({ socketPath, clock, onTrouble: (reason) => troubles.push(reason) });
  standIn.take();
  await turns();
  expect(troubles).toEqual([expect.stringContaining('listen EACCES')]);
  expect(existsSync(socketPath)).toBe(false);
  standIn.sendOn();
  standIn[Symbol.dispose]();
});

test('where it can listen and not take the place that is told once, and nothing is left', async () => {
  const { folder, socketPath, troubles, standIn } = standing();
  mkdirSync(socketPath);
  standIn.take();
  await turns();
  expect(troubles).toEqual([expect.stringContaining('rename')]);
  expect(readdirSync(folder)).toEqual(['etcd.sock']);
});

test('a path that is as long as one of a socket can be is long enough for it', async () => {
  const folder = temporaryFolder();
  const longest = path.join(folder, 'x'.repeat(107 - '/etcd.sock'.length - folder.length - 1));
  mkdirSync(longest);
  const socketPath = path.join(longest, 'etcd.sock');
  expect(Buffer.byteLength(socketPath)).toBe(107);
  const troubles: string[] = [];
  using standIn = etcdStandIn({ socketPath, clock: fakeClock(), onTrouble: (reason) => troubles.push(reason) });
  standIn.take();
  await turns();
  expect(readdirSync(longest)).toEqual(['etcd.sock']);
  const waits = await client(socketPath);
  standIn.refuse();
  expect(await waits.closed).toHaveLength(0);
  expect(troubles).toEqual([]);
});
