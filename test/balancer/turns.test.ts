/** Whether a client waits for an answer: by its own greeting, made by real clients, and by who has spoken last. */
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { connect, type ConnectionOptions } from 'node:tls';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { mayShare } from '../../src/balancer/client-hello.ts';
import { Turns } from '../../src/balancer/turns.ts';

/** What a client of Node.js says first. */
async function helloOf(options: ConnectionOptions): Promise<Buffer> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const client = connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, ...options });
  client.on('error', () => undefined);
  const [socket] = (await accepted) as [import('node:net').Socket];
  const [hello] = (await once(socket, 'data')) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return hello;
}

const both = { ALPNProtocols: ['h2', 'http/1.1'] };
let hellos: Readonly<Record<'both' | 'old' | 'none' | 'tls12' | 'last', Buffer>>;
beforeAll(async () => {
  hellos = {
    both: await helloOf(both),
    last: await helloOf({ ALPNProtocols: ['http/1.1', 'h2'], servername: 'kubernetes' }),
    tls12: await helloOf({ ...both, maxVersion: 'TLSv1.2' }),
    old: await helloOf({ ALPNProtocols: ['http/1.1'] }),
    none: await helloOf({}),
  };
});

describe('a greeting', () => {
  test('of TLS says whether HTTP/2 is offered', () => {
    expect(Object.entries(hellos).map(([name, hello]) => [name, mayShare(hello)])).toEqual([
      ['both', true],
      ['last', true],
      ['tls12', true],
      ['old', false],
      ['none', false],
    ]);
  });

  test('that is cut off or damaged counts as one that does', () => {
    for (let length = 1; length < hellos.old.length; length += 1) {
      expect(mayShare(hellos.old.subarray(0, length))).toBe(true);
    }
    fc.assert(fc.property(fc.uint8Array(), (bytes) => typeof mayShare(Buffer.from([22, ...bytes])) === 'boolean'));
  });

  test.each([
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', true],
    ['PRI', false],
    ['GET / HTTP/1.1\r\n', false],
    ['', false],
  ])('without TLS: %j', (text, isIt) => {
    expect(mayShare(Buffer.from(text))).toBe(isIt);
  });
});

describe('a client', () => {
  /** `c` and `s`: each says something; a number: so many milliseconds pass. */
  function asking(hello: Buffer, ...what: readonly ('c' | 's' | number)[]): boolean {
    let nowMs = 1000;
    const turns = new Turns(() => nowMs);
    turns.clientSpoke(hello.subarray(0, 100));
    turns.clientSpoke(hello.subarray(100));
    for (const each of what) {
      if (each === 'c') turns.clientSpoke(Buffer.from('x'));
      else if (each === 's') turns.serverSpoke();
      else nowMs += each;
    }
    return turns.isAsking;
  }

  test('who has just connected is about to ask, and after a second is not', () => {
    let nowMs = 500;
    const turns = new Turns(() => nowMs);
    expect(turns.isAsking).toBe(true);
    nowMs += 999;
    expect(turns.isAsking).toBe(true);
    nowMs += 1;
    expect(turns.isAsking).toBe(false);
    turns.clientSpoke(Buffer.from('x'));
    expect(turns.isAsking).toBe(true);
  });

  test('of a plain connection waits when it has spoken last', () => {
    const words = Buffer.from('GET / HTTP/1.1\r\n\r\n');
    expect([asking(words), asking(words, 's'), asking(words, 's', 'c')]).toEqual([true, false, true]);
  });

  test.each(['old', 'none'] as const)('of TLS (%s) has its first answer when more than tickets has come', (name) => {
    const hello = hellos[name];
    expect(asking(hello, 's', 'c', 's')).toBe(true);
    expect(asking(hello, 's', 'c', 's', 2, 's')).toBe(true);
    expect(asking(hello, 's', 'c', 's', 20, 's')).toBe(false);
    // An answer that came together with the tickets.
    expect(asking(hello, 's', 'c', 's', 5000)).toBe(false);
    expect(asking(hello, 's', 'c', 's', 2, 's', 'c', 's')).toBe(false);
  });

  test.each(['both', 'tls12', 'last'] as const)('who may speak HTTP/2 (%s) waits always', (name) => {
    const hello = hellos[name];
    // Settings, their acknowledgement, and an answer to one of two requests.
    expect(asking(hello, 's', 'c', 's', 20, 'c', 's', 20, 's')).toBe(true);
    expect(asking(hello, 's', 'c', 's', 60_000)).toBe(true);
  });

  test('who speaks it without TLS, too', () => {
    expect(asking(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), 's', 'c', 's', 20, 's')).toBe(true);
  });
});
