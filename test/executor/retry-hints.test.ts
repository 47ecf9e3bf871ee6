/** Cheap hints on a real port and a real file, with the real clock: the runner only counts its retries. */
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { readinessChannel } from '../../src/executor/channel.ts';
import { watchForHints } from '../../src/executor/retry-hints.ts';
import type { UnitRunner } from '../../src/executor/unit-runner.ts';
import { systemClock, type Clock } from '../../src/kernel/clock.ts';
import { latch } from '../../src/kernel/latch.ts';
import type { UnitStateName } from '../../src/unit/state.ts';
import { fakeUnit, type UnitChange } from '../kit/fake-graph.ts';
import { snapshotOf } from './snapshots.ts';

/** What the hints see of a runner, its state in the test's hands. */
function watchedUnit(change: UnitChange, first: UnitStateName = 'failed', clock: Clock = systemClock) {
  const snapshots = latch(snapshotOf('unit', first));
  let retries = 0;
  const runner = {
    unit: fakeUnit('unit', change),
    channel: readinessChannel(snapshots),
    retry: () => void (retries += 1),
  } as unknown as UnitRunner;
  const watch = watchForHints(clock, runner);
  return {
    retries: () => retries,
    enter: (state: UnitStateName) => snapshots.set(snapshotOf('unit', state)),
    [Symbol.dispose]: () => watch[Symbol.dispose](),
  };
}

function temporaryFolder() {
  const folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-hints-'));
  return {
    file: (name: string) => path.join(folder, name),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true }),
  };
}

const hasIpv6 = () => Object.values(networkInterfaces()).some((all) => all?.some(({ family }) => family === 'IPv6'));

async function busyPort(host: string) {
  let connections = 0;
  const server: Server = createServer((socket) => {
    connections += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => void server.listen(0, host, resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const free = () => new Promise<void>((resolve) => void server.close(() => resolve()));
  return {
    port,
    connections: () => connections,
    free,
    async [Symbol.asyncDispose]() {
      if (server.listening) await free();
    },
  };
}

/** The clock of a watched unit, and how often it was asked for a later look. */
function countedClock() {
  let timers = 0;
  const timer: Clock['timer'] = (delayMs, fire) => {
    timers += 1;
    return systemClock.timer(delayMs, fire);
  };
  return { clock: { ...systemClock, timer }, timers: () => timers };
}

const hosts = ['127.0.0.1', '127.0.0.2', '0.0.0.0', ...(hasIpv6() ? ['::1', '::'] : [])];

test.each(hosts)(
  'a failed unit is retried once when the port that it claims becomes free at %s, without a connection to its holder',
  async (host) => {
    await using busy = await busyPort(host);
    const { clock, timers } = countedClock();
    using unit = watchedUnit({ claims: { ports: [busy.port], paths: [] } }, 'failed', clock);
    await expect.poll(timers, { timeout: 5000 }).toBeGreaterThan(2);
    expect(unit.retries()).toBe(0);
    await busy.free();
    await expect.poll(unit.retries, { timeout: 5000 }).toBe(1);
    const looks = timers();
    expect(busy.connections()).toBe(0);
    unit.enter('waiting');
    unit.enter('failed');
    expect([unit.retries(), timers()], 'a port that is free is not watched').toEqual([1, looks]);
  },
);

test.each(['failed', 'backoff'] as const)(
  'a unit in %s is retried when a file that it claims appears',
  async (state) => {
    using folder = temporaryFolder();
    using unit = watchedUnit({ claims: { ports: [], paths: [folder.file('key.pem')] } }, state);
    writeFileSync(folder.file('other'), '');
    writeFileSync(folder.file('key.pem'), '');
    await expect.poll(unit.retries).toBeGreaterThan(0);
  },
);

test('a failed unit is retried when its program is put in place', async () => {
  using folder = temporaryFolder();
  using unit = watchedUnit({ run: [folder.file('etcd'), '--flag'] });
  writeFileSync(folder.file('etcd'), '');
  await expect.poll(unit.retries).toBeGreaterThan(0);
});

test.each(['waiting', 'failed'] as const)(
  'a program that came while it was tried is not missed (before: %s), and is no reason to try again and again',
  async (before) => {
    using folder = temporaryFolder();
    const { clock, timers } = countedClock();
    using unit = watchedUnit({ run: [folder.file('etcd')] }, before, clock);
    unit.enter('starting');
    writeFileSync(folder.file('etcd'), '');
    unit.enter('failed');
    await expect.poll(unit.retries).toBe(1);
    for (const times of [1, 2]) {
      unit.enter('starting');
      const looks = timers();
      unit.enter('failed');
      expect(timers(), `no retry is on its way (${String(times)})`).toBe(looks);
    }
  },
);

test('what a unit claims it may have written itself: it is no reason to try it again', () => {
  using folder = temporaryFolder();
  const { clock, timers } = countedClock();
  const data = folder.file('data');
  using unit = watchedUnit({ claims: { ports: [], paths: [data] } }, 'waiting', clock);
  for (const text of ['one', 'two']) {
    unit.enter('starting');
    writeFileSync(data, text);
    unit.enter('backoff');
  }
  expect(timers()).toBe(0);
});

test('a program where there can be none is an orderly failure', () => {
  using folder = temporaryFolder();
  writeFileSync(folder.file('file'), '');
  using unit = watchedUnit({ run: [path.join(folder.file('file'), 'bin')] }, 'waiting');
  for (const state of ['starting', 'backoff', 'starting', 'failed'] as const) unit.enter(state);
  expect(unit.retries()).toBe(0);
});

test('a file that is written bit by bit wakes its unit once, when nothing more comes', async () => {
  using folder = temporaryFolder();
  const pauses: { delayMs: number; fire: () => void }[] = [];
  const timer: Clock['timer'] = (delayMs, fire) => {
    const pause = { delayMs, fire };
    pauses.push(pause);
    return { [Symbol.dispose]: () => void (pause.fire = () => undefined) };
  };
  using unit = watchedUnit({ run: [folder.file('etcd')] }, 'failed', { ...systemClock, timer });
  for (const [count, text] of ['#!', '/bin/sh'].entries()) {
    appendFileSync(folder.file('etcd'), text);
    await expect.poll(() => pauses.length).toBeGreaterThan(count);
  }
  expect(unit.retries()).toBe(0);
  expect(Math.min(...pauses.map(({ delayMs }) => delayMs))).toBeGreaterThanOrEqual(50);
  for (const { fire } of pauses) fire();
  expect(unit.retries()).toBe(1);
});

test('nothing is watched while a unit runs, nor after it has recovered, nor after disposal', async () => {
  using folder = temporaryFolder();
  const claims = { ports: [], paths: [folder.file('key.pem')] };
  using sentinel = watchedUnit({ claims });
  using running = watchedUnit({ claims }, 'ready');
  using recovered = watchedUnit({ claims });
  recovered.enter('waiting');
  const disposed = watchedUnit({ claims });
  disposed[Symbol.dispose]();
  writeFileSync(folder.file('key.pem'), '');
  await expect.poll(sentinel.retries, { message: 'the event has come' }).toBeGreaterThan(0);
  expect([running.retries(), recovered.retries(), disposed.retries()]).toEqual([0, 0, 0]);
});

test('a folder that does not exist is no error', () => {
  using unit = watchedUnit({ claims: { ports: [], paths: ['/nowhere/at/all/key.pem'] } });
  expect(unit.retries()).toBe(0);
});
