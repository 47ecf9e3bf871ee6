/** The executor over real processes and real checks: what the simulator proves of logic, seen on the machine. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import type { ReadinessError } from '../../src/error/readiness-error.ts';
import { causeChain } from '../../src/error/startup-error.ts';
import type { EventOf } from '../../src/event/event.ts';
import { nowMs, realWorld, type RealWorld } from './real-world.ts';

const sh = (script: string, ...args: readonly string[]) => ['/bin/sh', '-c', script, 'sh', ...args];
const stateOf = ({ executor }: RealWorld, unit: string) => executor.unit(unit).current.state;
const eventsOf = <T extends 'probe.attempt' | 'process.spawned'>({ executor }: RealWorld, type: T, unit: string) =>
  executor.events
    .history()
    .map(({ event }) => event)
    .filter((event): event is EventOf<T> => event.type === type && 'unit' in event && event.unit === unit);

// db <- a, b, c, …: many wait for one check.
test('[S1] one run of a real check serves all that wait, dependents and callers', async () => {
  await using world = realWorld('a -> hard db; b -> hard db; c -> hard db', ({ file }) => ({
    db: {
      run: ['sleep', '1000'],
      ready: { exec: sh('echo x >> "$1"; test -f "$2"', file('checks'), file('db.ready')) },
    },
    ...Object.fromEntries(['a', 'b', 'c'].map((name) => [name, { run: ['sleep', '1000'] }])),
  }));
  world.executor.start();
  const waiters = Array.from({ length: 100 }, () => world.executor.unit('db').ready());
  await expect.poll(() => eventsOf(world, 'probe.attempt', 'db').length).toBeGreaterThan(1);
  expect(stateOf(world, 'a')).toBe('waiting');
  world.write('db.ready');
  await Promise.all([...waiters, world.executor.ready()]);
  const attempts = eventsOf(world, 'probe.attempt', 'db');
  expect(attempts.map(({ count }) => count)).toEqual(attempts.map((_attempt, index) => index + 1));
  expect(attempts.filter(({ attempt }) => attempt.outcome === 'ok')).toHaveLength(1);
  expect(readFileSync(world.file('checks'), 'utf8').trim().split('\n')).toHaveLength(attempts.length);
});

test('[S2] getters resolve when their unit is ready; an absent unit is named', async () => {
  await using world = realWorld('kube-apiserver -> hard etcd', ({ service }) => ({
    etcd: service('etcd', 0.1),
    'kube-apiserver': service('kube-apiserver'),
  }));
  const { executor } = world;
  executor.start();
  await expect(executor.getApiServerReady()).resolves.toMatchObject({ unit: 'kube-apiserver', generation: 1 });
  await expect(executor.getEtcdReady()).resolves.toMatchObject({ unit: 'etcd' });
  expect(world.stampOf('etcd', 'ready')).toBeLessThan(world.stampOf('kube-apiserver', 'start'));
  await expect(executor.getKubeletReady()).rejects.toMatchObject({ code: 'ERR_UNKNOWN_UNIT' });
  expect(() => executor.unit('etdc')).toThrow('etcd');
});

test('[S3] start returns at once; readiness comes by promise, callback and iteration', async () => {
  await using world = realWorld('slow', ({ service }) => ({ slow: service('slow', 0.3) }));
  const { executor } = world;
  const begunMs = nowMs();
  executor.start();
  const tookMs = nowMs() - begunMs;
  expect(tookMs, 'far less than the 300 ms until it is ready').toBeLessThan(150);
  expect(stateOf(world, 'slow')).toBe('starting');
  const called: string[] = [];
  using _subscription = executor.unit('slow').subscribe(({ state }) => void called.push(state));
  const iterated: string[] = [];
  const reading = (async () => {
    for await (const { state } of executor.unit('slow')) {
      iterated.push(state);
      if (state === 'ready') return;
    }
  })();
  await executor.unit('slow').ready();
  await reading;
  expect([called.at(0), called.at(-1), iterated.at(-1)]).toEqual(['starting', 'ready', 'ready']);
  expect(nowMs() - begunMs).toBeGreaterThan(250);
});

// c -> b -> a, and a's program does not exist.
test('[S4] a missing program is the root cause of everything that it blocks', async () => {
  await using world = realWorld('c -> hard b; b -> hard a', () => ({
    a: { run: ['/nowhere/program'], restart: { limit: { starts: 1, within: 60_000 } } },
    b: { run: ['sleep', '1000'] },
    c: { run: ['sleep', '1000'] },
  }));
  world.executor.start();
  const error: unknown = await world.executor
    .unit('c')
    .ready()
    .catch((caught: unknown) => caught);
  const chain = causeChain(error).map((cause) => (cause as NodeJS.ErrnoException).code);
  expect(chain).toEqual(['ERR_BLOCKED', 'ERR_BLOCKED', 'ERR_SPAWN', 'ENOENT']);
  expect(error).toMatchObject({
    detail: { component: 'c', reason: 'b' },
    cause: { detail: { component: 'b', reason: 'a' }, cause: { detail: { component: 'a', phase: 'spawn' } } },
  });
  expect(JSON.parse(JSON.stringify(error))).toMatchObject({ cause: { cause: { code: 'ERR_SPAWN', component: 'a' } } });
  expect(['a', 'b', 'c'].map((unit) => stateOf(world, unit))).toEqual(['failed', 'blocked', 'blocked']);
});

test('[S4] a process that exits before it is ready leaves its code, its last lines and its attempts', async () => {
  await using world = realWorld('etcd', ({ file }) => ({
    etcd: {
      run: sh('echo starting; echo "listen tcp 127.0.0.1:2379: bind: address already in use"; sleep 0.1; exit 3'),
      ready: { file: file('never') },
      restart: { limit: { starts: 1, within: 60_000 } },
    },
  }));
  world.executor.start();
  const error = (await world.executor
    .unit('etcd')
    .ready()
    .catch((caught: unknown) => caught)) as ReadinessError;
  expect(error.code).toBe('ERR_EXITED');
  const { detail } = error;
  expect(detail).toMatchObject({ component: 'etcd', generation: 1, exit: { kind: 'code', code: 3 } });
  expect(detail.lastLogLines).toEqual(['starting', 'listen tcp 127.0.0.1:2379: bind: address already in use']);
  expect(detail.attemptCount).toBeGreaterThan(0);
  expect(detail.attempts.length).toBe(Math.min(detail.attemptCount, 25));
});

test('[S5] restarts of a process that exits at once are ever farther apart, then it has failed', async () => {
  await using world = realWorld('flaky', ({ file }) => ({
    flaky: {
      run: sh('echo "$(date +%s%N) start flaky" >> "$1"; exit 1', file('stamps')),
      ready: { file: file('never') },
      restart: {
        backoff: { first: 50, factor: 2, max: 10_000, jitter: 0.2 },
        limit: { starts: 4, within: 60_000 },
      },
    },
  }));
  world.executor.start();
  const failed = await world.executor.unit('flaky').when(({ state }) => state === 'failed');
  const starts = world.stamps().map(({ atMs }) => atMs);
  expect(starts).toHaveLength(4);
  const gaps = starts.slice(1).map((atMs, index) => atMs - (starts[index] ?? 0));
  for (const [index, gap] of gaps.entries()) expect(gap).toBeGreaterThanOrEqual(50 * 2 ** index * 0.8);
  expect(failed.nextRetryAt?.monotonicMs).toBeGreaterThan(nowMs() + 5000);
});

test('[S6] the checks of several units run at the same time', async () => {
  const names = ['a', 'b', 'c', 'd'];
  await using world = realWorld(names.join(';'), () =>
    Object.fromEntries(names.map((name) => [name, { run: ['sleep', '1000'], ready: { exec: ['sleep', '0.4'] } }])),
  );
  const begunMs = nowMs();
  world.executor.start();
  await world.executor.ready();
  expect(nowMs() - begunMs).toBeLessThan(names.length * 400);
});

// api -> hard db, soft cache (slow), parallel metrics (slow)
test('[S7] hard is waited for, soft for a time, parallel not at all', async () => {
  await using world = realWorld(
    'api -> hard db, soft cache maxWait=400ms, parallel metrics; web -> soft quick maxWait=10s',
    ({ service }) => ({
      db: service('db', 0.2),
      cache: service('cache', 1.2),
      metrics: service('metrics', 1.2),
      api: service('api'),
      quick: service('quick', 0.1),
      web: service('web'),
    }),
  );
  const { executor } = world;
  executor.start();
  await executor.unit('api').ready();
  const { degraded } = executor.unit('api').current;
  expect(degraded.map(({ unit, kind }) => [unit, kind])).toEqual([['cache', 'soft']]);
  await executor.ready();
  // It clears when the target is ready.
  await executor.unit('api').when(({ degraded: left }) => left.length === 0);
  const apiMs = world.stampOf('api', 'start');
  expect(apiMs).toBeGreaterThan(world.stampOf('db', 'ready'));
  expect(apiMs).toBeLessThan(world.stampOf('cache', 'ready'));
  expect(apiMs).toBeLessThan(world.stampOf('metrics', 'ready'));
  expect(apiMs - world.stampOf('db', 'start')).toBeGreaterThan(350);
  expect(world.stampOf('web', 'start')).toBeGreaterThan(world.stampOf('quick', 'ready'));
  expect(executor.unit('web').current.degraded).toEqual([]);
});

test('[S7] when a real fault is removed, everything that was blocked starts by itself, at once', async () => {
  await using world = realWorld('web -> hard api; api -> hard db; metrics -> soft db', ({ file, service }) => ({
    db: {
      run: sh('test -f "$1" || { echo "no configuration" ; exit 1; }; exec sleep 1000', file('db.conf')),
      ready: { exec: ['test', '-f', file('db.conf')] },
      claims: { ports: [], paths: [file('db.conf')] },
      restart: { limit: { starts: 1, within: 60_000 } },
    },
    api: service('api'),
    web: service('web'),
    metrics: service('metrics'),
  }));
  const { executor } = world;
  executor.start();
  await executor.unit('web').when(({ state }) => state === 'blocked');
  await executor.unit('metrics').ready();
  expect(executor.unit('metrics').current.degraded).toMatchObject([{ unit: 'db', cause: { code: 'ERR_EXITED' } }]);
  const mendedMs = nowMs();
  world.write('db.conf');
  await executor.ready();
  expect(nowMs() - mendedMs, 'long before the slow retry after 30 s').toBeLessThan(10_000);
  expect(executor.unit('metrics').current.degraded).toEqual([]);
  expect(executor.unit('metrics').current.generation, 'it was not restarted for that').toBe(1);
});

test('a failed unit is tried again when the port that it claims becomes free', async () => {
  let looks = 0;
  const stranger = createServer((socket) => {
    looks += 1;
    socket.destroy();
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => stranger.once('listening', resolve));
  const address = stranger.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  await using world = realWorld('db', () => ({
    db: {
      run: [process.execPath, '-e', `require('node:net').createServer().listen(${String(port)}, '127.0.0.1')`],
      ready: { tcp: `127.0.0.1:${String(port)}` },
      claims: { ports: [port], paths: [] },
      restart: { limit: { starts: 1, within: 60_000 } },
    },
  }));
  world.executor.start();
  const failed = await world.executor.unit('db').when(({ state }) => state === 'failed');
  expect(failed.lastError?.detail.lastLogLines.join('\n')).toContain('EADDRINUSE');
  const looksBefore = looks;
  const freedMs = nowMs();
  await new Promise((resolve) => stranger.close(resolve));
  await expect(world.executor.unit('db').when(({ state }) => state === 'ready')).resolves.toMatchObject({
    generation: 2,
  });
  expect(nowMs() - freedMs).toBeLessThan(10_000);
  expect(looks, 'its holder is not bothered by who waits for it').toBe(looksBefore);
});

test('a unit that hangs in start fails after startWithin, with its attempts', async () => {
  await using world = realWorld('hangs', ({ file }) => ({
    hangs: {
      run: ['sleep', '1000'],
      ready: { file: file('never') },
      startWithin: 300,
      restart: { limit: { starts: 1, within: 60_000 } },
    },
  }));
  world.executor.start();
  await expect(world.executor.unit('hangs').ready()).rejects.toMatchObject({ code: 'ERR_NOT_READY' });
  const { lastError } = world.executor.unit('hangs').current;
  expect(lastError?.detail.elapsedMs).toBeGreaterThanOrEqual(299);
  expect(lastError?.detail.attemptCount).toBeGreaterThan(0);
  await expect.poll(() => world.pids()).toEqual([]);
});

test('[S5] a process that is killed comes back as the next generation', async () => {
  await using world = realWorld('db', () => ({ db: { run: ['sleep', '1000'] } }));
  const { executor } = world;
  executor.start();
  await executor.unit('db').ready();
  const { pid } = executor.unit('db').current;
  if (pid === undefined) throw new Error('no pid');
  process.kill(pid, 'SIGKILL');
  const backoff = await executor.unit('db').when(({ state }) => state === 'backoff');
  expect(backoff.lastError).toMatchObject({
    code: 'ERR_EXITED',
    detail: { exit: { kind: 'signal', signal: 'SIGKILL' } },
  });
  const again = await executor.unit('db').when(({ state, generation }) => state === 'ready' && generation === 2);
  expect(again.pid).not.toBe(pid);
  expect(again.restarts).toBe(1);
});

test('a unit at its limit has failed, is tried again slowly, and recovers without anybody’s help', async () => {
  await using world = realWorld('db', ({ file }) => ({
    db: {
      run: sh('test -f "$1" && exec sleep 1000; exit 1', file('mended')),
      ready: { exec: ['test', '-f', file('mended')] },
      restart: { backoff: { first: 10, factor: 2, max: 250, jitter: 0 }, limit: { starts: 2, within: 60_000 } },
    },
  }));
  const { executor } = world;
  executor.start();
  const failed = await executor.unit('db').when(({ state }) => state === 'failed');
  expect([failed.generation, failed.exhausted]).toEqual([2, true]);
  const later = await executor.unit('db').when(({ generation, state }) => generation >= 4 && state === 'failed');
  expect(later.since.monotonicMs - failed.since.monotonicMs).toBeGreaterThanOrEqual(2 * 249);
  world.write('mended');
  await executor.ready();
  expect(executor.unit('db').current.exhausted).toBe(false);
});

test('a process that ignores SIGTERM is killed when its time is over', async () => {
  await using world = realWorld('deaf', ({ file }) => ({
    deaf: {
      run: sh('trap "" TERM; : > "$1"; while :; do sleep 0.05; done', file('deaf.ready')),
      ready: { file: file('deaf.ready') },
      stop: { within: 300 },
    },
  }));
  world.executor.start();
  await world.executor.ready();
  const report = await world.executor.stop();
  expect(report.elapsedMs).toBeGreaterThanOrEqual(299);
  expect([report.leftovers, world.pids(), stateOf(world, 'deaf')]).toEqual([[], [], 'stopped']);
});

// web -> api -> db, exporter -> soft db; parallel edges order nothing.
test('a stop ends dependents before what they depend on, by the processes’ own clocks', async () => {
  await using world = realWorld('web -> hard api; api -> hard db, parallel side; exporter -> soft db', ({ service }) =>
    Object.fromEntries(['db', 'api', 'web', 'exporter', 'side'].map((name) => [name, service(name)])),
  );
  world.executor.start();
  await world.executor.ready();
  const { leftovers } = await world.executor.stop();
  expect([leftovers, world.pids()]).toEqual([[], []]);
  const at = (unit: string) => world.stampOf(unit, 'stop');
  expect(at('web')).toBeLessThan(at('api'));
  expect(at('api')).toBeLessThan(at('db'));
  expect(at('exporter')).toBeLessThan(at('db'));
});
