import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/kernel/clock.ts';
import type { Address } from '../../src/probe/connection.ts';
import { createProbe } from '../../src/probe/create-probe.ts';
import { createListenWatch } from '../../src/probe/listen-watch.ts';
import { tryConnect } from '../../src/probe/try-connect.ts';
import { untilReady } from '../../src/probe/until-ready.ts';
import { fakeClock } from '../kit/fake-clock.ts';
import { contextOf } from './probe-fixture.ts';

const connectNow = tryConnect();
if (connectNow === undefined) throw new Error('the machines that this is tested on have FFI');

async function listen(...where: readonly [number, string] | readonly [string]): Promise<Server> {
  const server = createServer((socket) => socket.destroy());
  if (where.length === 1) server.listen(where[0]);
  else server.listen(...where);
  await once(server, 'listening');
  return server;
}

const closed = async (server: Server) => {
  server.close();
  await once(server, 'close');
};

const portOf = (server: Server) => (server.address() as { port: number }).port;

test.each(['127.0.0.1', '::1'])('somebody listens at %s, or nobody does', async (host) => {
  const server = await listen(0, host);
  const address: Address = { kind: 'tcp', host, port: portOf(server) };
  expect(connectNow(address)).toBe('accepts');
  expect(connectNow({ ...address, host: 'localhost' })).toBe('accepts');
  await closed(server);
  expect(connectNow(address)).toBe('nobody');
  expect(connectNow({ ...address, host: 'localhost' })).toBe('nobody');
});

test('what is no address of this machine is nobody’s', async () => {
  const server = await listen(0, '::1');
  for (const host of ['127.1', '127.0.0.256', '::2']) {
    expect(connectNow({ kind: 'tcp', host, port: portOf(server) }), host).toBe('nobody');
  }
  await closed(server);
});

test('a unix socket is listened at, is only a file, or is not there', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-listen-'));
  const file = path.join(folder, 'ä.sock');
  const address: Address = { kind: 'unix', path: file };
  expect(connectNow(address)).toBe('nobody');
  const server = await listen(file);
  expect(connectNow(address)).toBe('accepts');
  await closed(server);
  expect(connectNow(address)).toBe('nobody');
  expect(connectNow({ kind: 'unix', path: `/${'x'.repeat(200)}` })).toBe('nobody');
  rmSync(folder, { recursive: true });
});

/** Addresses of a world of its own, and when each was looked at. */
function world({ tells = false }: { readonly tells?: boolean } = {}) {
  const clock = fakeClock();
  const open = new Set<number>();
  const looks: [number, number][] = [];
  const questions: number[] = [];
  const watch = createListenWatch(
    clock,
    (address) => {
      const port = address.kind === 'tcp' ? address.port : 0;
      looks.push([port, clock.monotonicMs()]);
      return open.has(port) ? 'accepts' : 'nobody';
    },
    tells
      ? () => {
          questions.push(clock.monotonicMs());
          return open;
        }
      : undefined,
  );
  const begun: number[] = [];
  const add = (port: number) => watch.add({ kind: 'tcp', host: '127.0.0.1', port }, () => begun.push(port));
  return { clock, open, looks, questions, begun, add };
}

test('it is noticed within 1 ms while it is young, and 0.1 % of its age late when it is old', async () => {
  const { clock, open, begun, add } = world();
  add(1);
  add(2);
  await clock.advance(40.5);
  expect(begun).toEqual([]);
  open.add(1);
  await clock.advance(1.1);
  expect(begun).toEqual([1]);
  await clock.advance(10_000);
  open.add(2);
  await clock.advance(11);
  expect(begun).toEqual([1, 2]);
  expect(clock.pendingTimers).toBe(0);
});

test('the old are looked at seldom, whoever else is waited for', async () => {
  const { clock, looks, add } = world();
  add(1);
  await clock.advance(20_000);
  looks.length = 0;
  using _young = add(2);
  await clock.advance(100);
  expect(looks.filter(([port]) => port === 1).length).toBeLessThan(12);
  expect(looks.filter(([port]) => port === 2).length).toBeGreaterThan(90);
});

test('of several ports only those are tried at which somebody listens', async () => {
  const { clock, open, looks, questions, begun, add } = world({ tells: true });
  const ports = Array.from({ length: 24 }, (_, i) => i + 1);
  ports.forEach(add);
  looks.length = 0;
  await clock.advance(10);
  expect(looks).toEqual([]);
  expect(questions).toHaveLength(10);
  open.add(7);
  await clock.advance(1);
  expect(looks.map(([port]) => port)).toEqual([7]);
  expect(begun).toEqual([7]);
});

test('nothing is told of what was there before, and nothing after disposal', async () => {
  const { clock, open, begun, add } = world();
  open.add(1);
  add(1);
  const watch = add(2);
  watch[Symbol.dispose]();
  open.add(2);
  await clock.advance(1000);
  expect(begun).toEqual([]);
  expect(clock.pendingTimers).toBe(0);
});

test('a tcp check is woken by the listener: it asks seldom and passes at once', async () => {
  const free = await listen(0, '127.0.0.1');
  const port = portOf(free);
  await closed(free);
  const listening = createListenWatch(systemClock, connectNow);
  const probe = createProbe({ tcp: `127.0.0.1:${String(port)}` }, { ...contextOf(), listening });
  const hints: string[] = [];
  const attempts: string[] = [];
  const ready = untilReady({
    probe,
    component: 'server',
    generation: 1,
    clock: systemClock,
    random: () => 0.5,
    signal: new AbortController().signal,
    // Without the hint the next attempt would come in a minute.
    firstMs: 60_000,
    startCapMs: 60_000,
    onAttempt: ({ outcome }) => attempts.push(outcome),
    onHint: (source) => hints.push(source),
  });
  await expect.poll(() => attempts).toEqual(['ECONNREFUSED']);
  const server = await listen(port, '127.0.0.1');
  expect((await ready).attempts).toBe(2);
  expect(hints).toEqual(['listening']);
  await closed(server);
});
