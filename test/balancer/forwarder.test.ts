/** The forwarder on real sockets: what one end does, the other end sees. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { deferred } from '../../src/kernel/deferred.ts';
import { echoServer, place, tcpServer } from './servers-kit.ts';

/** A balancer before one server, a client that is connected through it, and the server's end of that. */
async function through(onSocket?: (socket: Socket) => void) {
  const arrived = deferred<Socket>();
  const server = await tcpServer({
    onSocket(socket) {
      arrived.resolve(socket);
      onSocket?.(socket);
    },
  });
  const lb = await place({ servers: [server.address], verdict: 'ok' });
  const { socket: near, ended } = lb.connect();
  const far = await arrived.promise;
  return {
    lb,
    near,
    far,
    ended,
    async [Symbol.asyncDispose]() {
      await lb[Symbol.asyncDispose]();
      await server.stop();
    },
  };
}

/**
 * Source: proc_net_tcp, kernel documentation: the timer 2 is that of keepalive, of a connection at rest; then when it
 * ends, in hundredths of a second. The kernel's own begins with two hours.
 */
function isKeptAlive(ports: string): boolean {
  const portOf = (address = '') => String(Number.parseInt(address.split(':')[1] ?? '', 16));
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .some(([, own, other, , , timer]) => {
      const [kind, endsIn = ''] = timer?.split(':') ?? [];
      return `${portOf(own)} ${portOf(other)}` === ports && kind === '02' && Number.parseInt(endsIn, 16) <= 3_000;
    });
}

describe('ends of connections go through as they come', () => {
  test('a half-close of the client: the server sees it and can still answer for as long as it likes', async () => {
    await using link = await through();
    const { near, far, lb } = link;
    near.end('question');
    const heard: string[] = [];
    far.on('data', (chunk) => heard.push(chunk.toString()));
    await once(far, 'end');
    expect(heard.join('')).toBe('question');
    const answer = once(near, 'data');
    far.write('answer');
    expect(String((await answer)[0])).toBe('answer');
    expect(lb.forwarder.counts().connections).toBe(1);
    far.end();
    await once(near, 'close');
    await expect.poll(() => lb.forwarder.counts().connections).toBe(0);
  });

  test('a half-close of the server: the client sees it and can still speak', async () => {
    await using server = await tcpServer({
      onSocket: (socket) => void socket.once('data', () => socket.end('bye')),
    });
    await using lb = await place({ servers: [server.address] });
    const { connect } = await import('node:net');
    const near = connect({ host: '127.0.0.1', port: lb.forwarder.address.port, allowHalfOpen: true });
    near.write('1');
    near.resume();
    await once(near, 'end');
    const [far] = [...server.sockets];
    if (far === undefined) throw new Error('the server has no socket');
    const heard = once(far, 'data');
    near.write('still here');
    expect(String((await heard)[0])).toBe('still here');
    near.end();
    await once(near, 'close');
  });

  test('a reset by the server is a reset for the client, after all that was said before', async () => {
    await using link = await through();
    const { near, far, ended } = link;
    const first = once(near, 'data');
    far.write('half an ans');
    await first;
    far.resetAndDestroy();
    expect(await ended).toBe('ECONNRESET');
  });

  test('a reset by the client is a reset for the server', async () => {
    await using link = await through();
    const { near, far, lb } = link;
    const broken = new Promise<string>((resolve) => {
      far.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    });
    far.resume();
    near.resetAndDestroy();
    expect(await broken).toBe('ECONNRESET');
    await expect.poll(() => lb.balancer.list()[0]?.connections).toBe(0);
    expect(lb.balancer.list()[0]?.lastError, 'the server is not to blame').toBeUndefined();
  });

  test('a server that breaks connections is told apart from one that ends them', async () => {
    await using link = await through();
    const first = once(link.near, 'data');
    link.far.write('hello');
    await first;
    link.far.resetAndDestroy();
    await link.ended;
    await expect
      .poll(() => link.lb.balancer.list()[0]?.lastError)
      .toMatchObject({ source: 'connection', reason: 'ECONNRESET' });
  });

  test('the kernel asks whether both ends of a connection that stays still live', async () => {
    await using link = await through((socket) => void socket.on('data', (chunk) => socket.write(chunk)));
    const { near, far, lb } = link;
    near.write('hello');
    await once(near, 'data');
    const ports = [near.localPort, far.remotePort];
    // The ends of the forwarder: to the client, and to the server.
    const ends = [
      `${String(lb.forwarder.address.port)} ${String(ports[0])}`,
      `${String(ports[1])} ${String(far.localPort)}`,
    ];
    await expect.poll(() => ends.map(isKeptAlive), { timeout: 5_000 }).toEqual([true, true]);
  });

  test('an idle connection stays', async () => {
    await using link = await through((socket) => void socket.on('data', (chunk) => socket.write(chunk)));
    const { near, lb } = link;
    // Nothing in the forwarder waits for anything: the only timers of its process are those of checks.
    expect(lb.forwarder.counts().connections).toBe(1);
    near.setTimeout(300);
    await once(near, 'timeout');
    const echoed = once(near, 'data');
    near.write('still');
    expect(String((await echoed)[0])).toBe('still');
  });
});

describe('back-pressure', () => {
  test('a reader that does not read stops the writer at the other end, and nothing is lost or held in memory', async () => {
    await using link = await through();
    const { near, far } = link;
    const chunk = Buffer.alloc(256 * 1024, 7);
    let sent = 0;
    let isStopped = false;
    // Until the kernel's buffers on the way are full, and 500 ms of nothing say that they are.
    while (!isStopped && sent < 400) {
      sent += 1;
      if (near.write(chunk)) continue;
      isStopped = await Promise.race([
        once(near, 'drain').then(() => false),
        new Promise<boolean>((resolve) => void setTimeout(() => resolve(true), 500)),
      ]);
    }
    expect(isStopped, 'the writer was stopped').toBe(true);
    let received = 0;
    far.on('data', (data: Buffer) => void (received += data.length));
    near.end();
    await once(far, 'end');
    expect(received).toBe(sent * chunk.length);
    far.end();
  });

  test('20 MB each way at the same time arrive whole', async () => {
    await using server = await echoServerRaw();
    await using lb = await place({ servers: [server.address] });
    const { socket } = lb.connect();
    const chunk = Buffer.alloc(1024 * 1024);
    for (let index = 0; index < chunk.length; index += 1) chunk[index] = index % 251;
    let received = 0;
    let isSame = true;
    socket.on('data', (data: Buffer) => {
      for (let index = 0; index < data.length; index += 997) {
        isSame &&= data[index] === ((received + index) % chunk.length) % 251;
      }
      received += data.length;
    });
    for (let count = 0; count < 20; count += 1) {
      if (!socket.write(chunk)) await once(socket, 'drain');
    }
    socket.end();
    await once(socket, 'end');
    expect([received, isSame]).toEqual([20 * chunk.length, true]);
  });
});

function echoServerRaw() {
  return tcpServer({ onSocket: (socket) => void socket.pipe(socket) });
}

describe('while a server is being dialled', () => {
  const hole = '192.0.2.1:6443'; // TEST-NET-1, RFC 5737

  test('what the client says is kept for the server that answers', async () => {
    await using server = await echoServer('late');
    await using lb = await place({
      servers: [hole, server.address],
      limits: { staggerMs: 100, attemptMs: 2000, budgetMs: 3000 },
    });
    // The hole first, whatever the ranks are.
    lb.balancer.operate({ type: 'pin', address: hole });
    expect(await lb.connect().ask('early')).toBe('late:early');
  });

  test('a client that leaves ends the dial, and no server is blamed', async () => {
    await using lb = await place({ servers: [hole], limits: { staggerMs: 100, attemptMs: 60_000, budgetMs: 60_000 } });
    const { socket } = lb.connect();
    await once(socket, 'connect');
    await expect.poll(() => lb.forwarder.counts().connections).toBe(1);
    // Where the kernel knows no way there the dial has failed already; both ways the connection is gone.
    socket.resetAndDestroy();
    await expect.poll(() => lb.forwarder.counts().connections).toBe(0);
  });
});

test('a server may be a name, and all its addresses are tried at each dial', async () => {
  // Listens on 127.0.0.1 alone, while a name of the loopback may stand for ::1 first.
  await using server = await echoServer('named');
  await using lb = await place({ servers: [server.address.replace('127.0.0.1', 'localhost')] });
  expect(await lb.connect().ask('1')).toBe('named:1');
  expect(await lb.connect().ask('2')).toBe('named:2');
});

test('more connections than there may be are refused and counted, and those that are there go on', async () => {
  await using server = await echoServer('a');
  await using lb = await place({ servers: [server.address], maxConnections: 2 });
  const [first, second] = [lb.connect(), lb.connect()];
  expect(await first.ask('1')).toBe('a:1');
  expect(await second.ask('1')).toBe('a:1');
  expect(await lb.connect().ask('1')).toBe('closed');
  expect(lb.forwarder.counts()).toMatchObject({ connections: 2, refused: 1 });
  expect(await first.ask('2')).toBe('a:2');
});

test('an address in use is said so, in the words from which the supervisor finds the holder', async () => {
  await using lb = await place();
  const { netForwarder } = await import('../../src/balancer/net-forwarder.ts');
  const { systemClock } = await import('../../src/kernel/clock.ts');
  const again = netForwarder({ listen: lb.forwarder.address, routes: lb.balancer.routes, clock: systemClock });
  await expect(again).rejects.toMatchObject({
    code: 'ERR_NOT_READY',
    message: `cannot listen on ${lb.address}: address already in use`,
  });
});
