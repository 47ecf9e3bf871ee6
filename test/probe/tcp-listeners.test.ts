/** Two ways to find who listens, beside each other: netlink and /proc. */
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { libc } from '../../src/kernel/foreign.ts';
import { listenersInProc, tcpListeners } from '../../src/probe/proc-sockets.ts';
import { askListeners, diagRequest, listenerOf, readDiag } from '../../src/probe/sock-diag.ts';

async function listen(host: string, port = 0, ipv6Only = false): Promise<number> {
  const server = createServer();
  server.listen({ host, port, ipv6Only });
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

const sorted = <T>(all: Iterable<T>) => [...all].map((one) => JSON.stringify(one)).sort();

test.skipIf(libc() === undefined).each([['127.0.0.1'], ['::1'], ['0.0.0.0'], ['::']])(
  'netlink tells of a listener at %s what /proc tells',
  async (host) => {
    const port = await listen(host);
    const told = askListeners()?.at(port);
    expect(told).toHaveLength(1);
    expect(sorted(told ?? [])).toEqual(sorted(listenersInProc(port)));
  },
);

test('several at one port, of both families, are all found', async () => {
  const port = await listen('127.0.0.1');
  await listen('::1', port, true);
  await listen('127.0.0.2', port);
  expect(sorted(tcpListeners(port))).toEqual(sorted(listenersInProc(port)));
  expect([...tcpListeners(port)]).toHaveLength(3);
});

test.skipIf(libc() === undefined)('all ports at which anybody listens are told at once', async () => {
  const ports = [await listen('127.0.0.1'), await listen('::1'), await listen('0.0.0.0')];
  const told = askListeners()?.ports();
  for (const port of ports) expect(told).toContain(port);
  expect(told).not.toContain(0);
});

test('where nobody listens, nobody is found', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  expect([...tcpListeners(port)]).toEqual([]);
});

test('a kernel that refuses, or says what is not understood, is no answer', () => {
  const message = (type: number, body: Buffer) => {
    const header = Buffer.alloc(16);
    header.writeUInt32LE(16 + body.length, 0);
    header.writeUInt16LE(type, 4);
    return Buffer.concat([header, body]);
  };
  const read = (...parts: readonly Buffer[]) => readDiag(Buffer.concat(parts), listenerOf);
  const done = message(3, Buffer.alloc(4));
  const listener = Buffer.alloc(72);
  listener.writeUInt8(2, 0);
  listener.set([127, 0, 0, 1], 8);
  listener.writeUInt32LE(4711, 68);
  expect(read(message(20, listener), done)).toEqual({
    entries: [{ inode: '4711', hexAddress: '0100007F' }],
    isLast: true,
  });
  const refused = Buffer.alloc(4);
  refused.writeInt32LE(-2, 0);
  expect(read(message(20, listener), message(3, refused))).toBeUndefined();
  const torn = message(20, listener);
  torn.writeUInt16LE(0x12, 6);
  expect(read(torn)).toBeUndefined();
  expect(read(message(20, listener))).toMatchObject({ isLast: false });
  expect(read(message(2, Buffer.alloc(20)))).toBeUndefined();
  expect(read(message(20, Buffer.alloc(12)))).toBeUndefined();
  expect(read(message(99, listener))).toBeUndefined();
  // A length of nothing would be read for ever.
  expect(read(Buffer.alloc(64))).toBeUndefined();
});

test('the port is asked for as the network writes it', () => {
  expect(diagRequest(2, 6443).subarray(24, 26)).toEqual(Buffer.from([0x19, 0x2b]));
});
