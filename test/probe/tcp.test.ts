import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/kernel/clock.ts';
import { createProbe } from '../../src/probe/create-probe.ts';
import { createListenWatch } from '../../src/probe/listen-watch.ts';
import { whoHoldsPort } from '../../src/probe/proc-sockets.ts';
import { tryConnect } from '../../src/probe/try-connect.ts';
import { untilReady } from '../../src/probe/until-ready.ts';
import {
  contextOf,
  failed,
  failureOf,
  freePort,
  listening,
  openHandles,
  passes,
  patience,
  temporaryFolder,
} from './probe-fixture.ts';

/** A real child process that listens on a loopback port of its own. */
async function stranger() {
  const source = `
    const server = require('node:net').createServer((socket) => socket.destroy());
    server.listen(0, '127.0.0.1', () => process.send(server.address().port));
    process.on('disconnect', () => process.exit());`;
  const child = fork('-e', [source], { execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const [port] = (await once(child, 'message')) as [number];
  return {
    port,
    pid: child.pid ?? 0,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

test('[S5] a tcp check is refused until somebody listens, and passes within milliseconds of that', async () => {
  const port = await freePort();
  const before = openHandles();
  const outcomes: string[] = [];
  const probe = createProbe({ tcp: `127.0.0.1:${port}` }, contextOf());
  expect(probe.describe()).toBe(`tcp 127.0.0.1:${port}`);
  const outcome = untilReady(patience(probe, { onAttempt: ({ outcome }) => outcomes.push(outcome) }));
  await expect.poll(() => outcomes.length).toBeGreaterThan(2);
  await using server = await listening(createServer(), port);
  expect(server.port).toBe(port);
  const { attempts } = await outcome;
  expect(outcomes).toEqual([...Array<string>(attempts - 1).fill('ECONNREFUSED'), 'ok']);
  await server[Symbol.asyncDispose]();
  await expect.poll(openHandles).toBeLessThanOrEqual(before);
});

/** A check by a socket of Node.js, and one by system calls alone. */
const connectNow = tryConnect();
const bySystemCalls = connectNow && createListenWatch(systemClock, connectNow);
const ways = [
  ['by a socket', undefined],
  ['by system calls', bySystemCalls],
] as const;

test.each(ways)('%s: a unix check passes when the socket accepts, and says ENOENT before', async (_way, listens) => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'containerd.sock');
  const probe = createProbe({ unix: path }, contextOf({ listening: listens }));
  expect(await failureOf(probe)).toBe('ENOENT');
  await using _server = await listening(createServer(), path);
  await passes(probe);
  expect(probe.describe()).toBe(`unix ${path}`);
});

test.each(ways)('[C4] %s: a port that another process answers on is not our readiness', async (_way, listens) => {
  await using other = await stranger();
  const address = `127.0.0.1:${other.port}`;
  const unit = { pids: () => [process.pid], listening: listens };
  // The stranger is a child of this process, which is "the unit" here: that counts as ours.
  await passes(createProbe({ tcp: address }, contextOf(unit)));

  await using second = await stranger();
  const failure = await failed(createProbe({ tcp: address }, contextOf({ ...unit, pids: () => [second.pid] })));
  // Both are in this test's process group, which does not make one the other's.
  expect(failure.message).toMatch(new RegExp(`^${address} is held by pid ${other.pid} \\S+, not by this unit$`));
  expect(failure.hint).toContain('stop pid');
});

test.each(ways)('%s: a listener of the unit at any address counts for one address', async (_way, listens) => {
  const server = createServer();
  server.listen(0, '::');
  await once(server, 'listening');
  await using _closing = {
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => void server.close(() => resolve())),
  };
  const { port } = server.address() as { port: number };
  for (const host of ['127.0.0.1', '[::1]', 'localhost']) {
    await passes(createProbe({ tcp: `${host}:${port}` }, contextOf({ listening: listens })));
  }
});

test('what a name stands for is the resolver’s to say: no system call asks at an address that it may not be', async () => {
  const listens = { add: () => ({ [Symbol.dispose]: () => undefined }), accepts: () => true };
  for (const host of ['localhost', '127.1']) {
    const probe = createProbe({ tcp: `${host}:${await freePort()}` }, contextOf({ listening: listens }));
    expect(await failureOf(probe)).toMatch(/ECONNREFUSED|AggregateError/);
  }
  await passes(
    createProbe({ tcp: `127.0.0.1:${await freePort()}` }, contextOf({ listening: listens, pids: () => [] })),
  );
});

test('a unit without processes of its own (a builtin) is not asked who listens', async () => {
  await using other = await stranger();
  await passes(createProbe({ tcp: `127.0.0.1:${other.port}` }, contextOf({ pids: () => [] })));
});

test('whoHoldsPort names the process that listens, and nobody on a free port', async () => {
  await using other = await stranger();
  expect(whoHoldsPort(other.port)).toMatchObject({ pid: other.pid });
  expect(whoHoldsPort(await freePort())).toBeUndefined();
});

test('an abort ends a connection that is being made', async () => {
  // An address of the documentation range: packets to it go nowhere. Source: RFC 5737.
  const probe = createProbe({ tcp: '192.0.2.1:81' }, contextOf());
  const controller = new AbortController();
  const before = openHandles();
  const check = probe.check(controller.signal);
  const reason = new Error('enough');
  controller.abort(reason);
  await expect(check).rejects.toBe(reason);
  await expect.poll(openHandles).toBeLessThanOrEqual(before);
});
