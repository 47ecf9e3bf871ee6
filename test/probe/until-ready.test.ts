import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { ReadinessError, type Attempt, type Exit } from '../../src/error/readiness-error.ts';
import { deferred } from '../../src/kernel/deferred.ts';
import { ProbeFailure, type Probe, type ProbePace } from '../../src/probe/probe.ts';
import { untilReady, type UntilReadyOptions } from '../../src/probe/until-ready.ts';
import { fakeClock } from '../kit/fake-clock.ts';

type Check = (signal: AbortSignal) => Promise<void>;

const refused = new ProbeFailure('ECONNREFUSED');
const refuse: Check = () => Promise.reject(refused);
const pass: Check = () => Promise.resolve();
const hang: Check = () => new Promise(() => undefined);

/** A unit "etcd" whose checks do as the script says (the last entry repeats). */
function start(script: readonly Check[], overrides: Partial<UntilReadyOptions> = {}, pace?: ProbePace) {
  const clock = fakeClock();
  const controller = new AbortController();
  const triedAtMs: number[] = [];
  const told: Attempt[] = [];
  const hints: string[] = [];
  const signals: AbortSignal[] = [];
  let wake: (source: string) => void = () => undefined;
  let subscribed = 0;
  const probe: Probe = {
    describe: () => 'tcp 127.0.0.1:2379',
    ...(pace === undefined ? {} : { pace }),
    check(signal) {
      triedAtMs.push(clock.monotonicMs());
      signals.push(signal);
      return (script[Math.min(triedAtMs.length, script.length) - 1] as Check)(signal);
    },
    onHint(callback) {
      wake = callback;
      subscribed += 1;
      return { [Symbol.dispose]: () => void (subscribed -= 1) };
    },
  };
  const outcome = untilReady({
    probe,
    component: 'etcd',
    generation: 3,
    clock,
    random: () => 0.5,
    signal: controller.signal,
    firstMs: 100,
    factor: 2,
    jitter: 0,
    startCapMs: 800,
    onAttempt: (attempt) => told.push(attempt),
    onHint: (source) => hints.push(source),
    ...overrides,
  });
  const failure = outcome.then(
    () => {
      throw new Error('became ready');
    },
    (error: unknown) => error as ReadinessError,
  );
  failure.catch(() => undefined);
  const nothingLeft = () => {
    const listening = [controller.signal, ...signals].map((signal) => getEventListeners(signal, 'abort').length);
    expect({ timers: clock.pendingTimers, subscribed, listeners: Math.max(...listening) }).toEqual({
      timers: 0,
      subscribed: 0,
      listeners: 0,
    });
  };
  return { clock, controller, triedAtMs, told, hints, outcome, failure, nothingLeft, wake: (by: string) => wake(by) };
}

test('[C4] [S5] attempts come at once, then after 100, 200, 400 ms and so on up to the cap, until one passes', async () => {
  const run = start([refuse, refuse, refuse, refuse, refuse, pass]);
  await expect(run.clock.run(run.outcome)).resolves.toEqual({ attempts: 6, elapsedMs: 2300 });
  expect(run.triedAtMs).toEqual([0, 100, 300, 700, 1500, 2300]);
  expect(run.told.map(({ outcome }) => outcome)).toEqual([...Array<string>(5).fill('ECONNREFUSED'), 'ok']);
  run.nothingLeft();
});

test('[S5] jitter moves each delay, within its share', async () => {
  const shares = [0, 0.999_999, 0.5];
  const run = start([refuse, refuse, refuse, pass], { jitter: 0.2, random: () => shares.shift() ?? 0.5 });
  await run.clock.run(run.outcome);
  expect(run.triedAtMs.map(Math.round)).toEqual([0, 80, 320, 720]);
});

test('[C4] a hint wakes a waiting probe at once, and is told', async () => {
  const run = start([refuse, pass]);
  await run.clock.advance(7);
  run.wake('notify');
  await expect(run.outcome).resolves.toEqual({ attempts: 2, elapsedMs: 7 });
  expect(run.hints).toEqual(['notify']);
  run.nothingLeft();
});

test('three hints during one attempt lead to exactly one more', async () => {
  const gate = deferred();
  const run = start([() => gate.promise, refuse, pass]);
  await run.clock.advance(5);
  for (const source of ['log', 'log', 'notify']) run.wake(source);
  gate.reject(refused);
  await run.clock.settle();
  expect(run.triedAtMs).toEqual([0, 5]);
});

test('[C4] [S4] at the deadline the error names unit, check, reason, attempts, time and log, and its cause is the last failure', async () => {
  const run = start([refuse], {
    startCapMs: 100,
    deadline: () => 4_950,
    lastLogLines: () => ['starting', 'waiting for peers'],
  });
  const error = await run.clock.run(run.failure);
  expect(error).toBeInstanceOf(ReadinessError);
  expect(error.code).toBe('ERR_NOT_READY');
  expect(error.message).toBe('cannot start etcd: tcp 127.0.0.1:2379: ECONNREFUSED (50 attempts, 5.0 s)');
  expect(error.cause).toBe(refused);
  expect(error.detail).toMatchObject({
    component: 'etcd',
    generation: 3,
    phase: 'ready',
    attemptCount: 50,
    elapsedMs: 4950,
    lastLogLines: ['starting', 'waiting for peers'],
  });
  expect(error.detail.attempts).toHaveLength(25);
  const wallStartMs = run.clock.wallMs() - run.clock.monotonicMs();
  expect(error.detail.attempts.map(({ at }) => at - wallStartMs).slice(3, 7)).toEqual([300, 400, 3000, 3100]);
  run.nothingLeft();
});

test('the deadline may move while time passes (EXTEND_TIMEOUT_USEC)', async () => {
  let deadlineMs = 1_000;
  const run = start([refuse], { deadline: () => deadlineMs });
  await run.clock.advance(900);
  deadlineMs = 3_000;
  const error = await run.clock.run(run.failure);
  expect(error.detail.elapsedMs).toBe(3_000);
});

test('[C4] when the process exits the waiting ends at once, and the error says how and why', async () => {
  const exited = deferred<Exit>();
  const run = start([hang], {
    exited: exited.promise,
    lastLogLines: () => ['listen tcp 127.0.0.1:2379: bind: address already in use'],
    holderOf: (port) => (port === 2379 ? { pid: 812, command: 'etcd' } : undefined),
  });
  await run.clock.advance(40);
  exited.resolve({ kind: 'code', code: 1 });
  const error = await run.failure;
  expect(error.code).toBe('ERR_EXITED');
  expect(error.message).toBe(
    'etcd exited with code 1: listen tcp 127.0.0.1:2379: bind: address already in use (2379 is held by pid 812 etcd)',
  );
  expect(error.detail).toMatchObject({ exit: { kind: 'code', code: 1 }, elapsedMs: 40, attemptCount: 0 });
  expect(error.detail.hint).toBe('port 2379 is held by pid 812 etcd: stop it, or choose another port');
  run.nothingLeft();
});

test('an exit after readiness changes nothing', async () => {
  const exited = deferred<Exit>();
  const run = start([pass], { exited: exited.promise });
  await run.outcome;
  exited.resolve({ kind: 'code', code: 1 });
  await run.clock.settle();
  run.nothingLeft();
});

test('an attempt that takes too long is given up and counted, and its signal aborts', async () => {
  let aborted: unknown;
  const slow: Check = (signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener(
        'abort',
        () => {
          aborted = signal.reason;
          reject(signal.reason as Error);
        },
        { once: true },
      );
    });
  const run = start([slow, pass], { attemptTimeoutMs: 500 });
  await run.clock.run(run.outcome);
  expect(aborted).toBeInstanceOf(ProbeFailure);
  expect(run.told.map(({ outcome, ms }) => [outcome, ms])).toEqual([
    ['no answer within 0.50 s', 500],
    ['ok', 0],
  ]);
  run.nothingLeft();
});

test('a check that ignores its signal holds up nothing', async () => {
  const run = start([hang, pass], { attemptTimeoutMs: 500 });
  await expect(run.clock.run(run.outcome)).resolves.toMatchObject({ attempts: 2 });
  run.nothingLeft();
});

test('an abort ends the waiting with its reason', async () => {
  const run = start([hang], { deadline: () => 10_000 });
  await run.clock.advance(30);
  const reason = new Error('etcd is being stopped');
  run.controller.abort(reason);
  await expect(run.outcome).rejects.toBe(reason);
  run.nothingLeft();
});

test('several passes in a row are needed when asked for, and a failure between them starts over', async () => {
  const run = start([pass, refuse, pass, pass, pass], { successes: 3 });
  await expect(run.clock.run(run.outcome)).resolves.toMatchObject({ attempts: 5 });
});

test('a failure that no later attempt can mend ends the waiting', async () => {
  const final = new ProbeFailure('wrong protocol', { retry: false, hint: 'use https' });
  const run = start([refuse, () => Promise.reject(final)]);
  const error = await run.clock.run(run.failure);
  expect(error.detail).toMatchObject({ reason: 'wrong protocol', hint: 'use https', attemptCount: 2 });
  expect(error.cause).toBe(final);
  run.nothingLeft();
});

test('a bug in a check (TypeError) is retried and reported like any failure', async () => {
  const bug = new TypeError('x is not a function');
  const run = start([() => Promise.reject(bug)], { deadline: () => 1000 });
  const error = await run.clock.run(run.failure);
  expect([error.detail.reason, error.cause]).toEqual(['x is not a function', bug]);
});

test('[S6] probes of several units run at the same time, each at its own pace', async () => {
  const clock = fakeClock();
  const triedAtMs = { slow: [] as number[], quick: [] as number[] };
  const wait = (name: 'slow' | 'quick', firstMs: number, readyAtMs: number) =>
    untilReady({
      probe: {
        describe: () => name,
        check: () => {
          triedAtMs[name].push(clock.monotonicMs());
          return clock.monotonicMs() >= readyAtMs ? Promise.resolve() : Promise.reject(refused);
        },
      },
      component: name,
      generation: 1,
      clock,
      random: () => 0.5,
      signal: new AbortController().signal,
      firstMs,
      factor: 1,
      jitter: 0,
    });
  await clock.run(Promise.all([wait('slow', 100, 300), wait('quick', 40, 100)]));
  expect(triedAtMs).toEqual({ slow: [0, 100, 200, 300], quick: [0, 40, 80, 120] });
});

test('[S5] a cheap local check is asked every few milliseconds at first, then ever more rarely up to the cap', async () => {
  const run = start(
    [refuse],
    { deadline: () => 20_000, firstMs: 1, factor: 1.5, startCapMs: 250 },
    {
      kind: 'eager',
      capMs: 5,
      forMs: 1_000,
    },
  );
  await run.clock.run(run.failure);
  const delays = run.triedAtMs.slice(1).map((at, index) => at - (run.triedAtMs[index] ?? 0));
  expect(delays.slice(0, 6)).toEqual([1, 1.5, 2.25, 3.375, 5, 5]);
  const late = delays.slice(run.triedAtMs.findIndex((at) => at > 1_000));
  expect(late[0]).toBeLessThan(6);
  for (const [index, delay] of late.entries()) expect(delay).toBeGreaterThanOrEqual((late[index - 1] ?? 0) - 0.001);
  expect(late.at(-1)).toBeCloseTo(250);
});

test('[S5] a dear check of what starts for seconds is asked ever more rarely, by the share that it may be late', async () => {
  const run = start(
    [refuse],
    { deadline: () => 20_000, firstMs: 5, factor: 1.5, startCapMs: 250 },
    { kind: 'eager', capMs: 15, forMs: 5_000, lateShare: 0.015 },
  );
  await run.clock.run(run.failure);
  const delayFrom = (fromMs: number) => {
    const at = run.triedAtMs.findIndex((triedAt) => triedAt >= fromMs);
    return (run.triedAtMs[at + 1] ?? 0) - (run.triedAtMs[at] ?? 0);
  };
  expect(delayFrom(500)).toBeCloseTo(15);
  expect(delayFrom(2_000) / 2_000).toBeCloseTo(0.015, 3);
  expect(delayFrom(4_000) / 4_000).toBeCloseTo(0.015, 3);
  expect(delayFrom(18_000)).toBeLessThanOrEqual(250);
});

test('[S5] a check whose events tell everything is asked again only for safety, up to every 5 s', async () => {
  const run = start([refuse], { deadline: () => 60_000, firstMs: 5, factor: 1.5 }, { kind: 'event' });
  await run.clock.run(run.failure);
  const delays = run.triedAtMs.slice(1).map((at, index) => at - (run.triedAtMs[index] ?? 0));
  expect(Math.max(...delays)).toBeCloseTo(5_000);
  expect(run.triedAtMs.length).toBeLessThan(35);
});

test('a dear check is asked less often by itself', async () => {
  const clock = fakeClock();
  const beganAtMs: number[] = [];
  const probe: Probe = {
    describe: () => 'exec slow',
    pace: { kind: 'eager', capMs: 5, forMs: 10_000, restRatio: 4 },
    check: () =>
      new Promise((_resolve, reject) => {
        beganAtMs.push(clock.monotonicMs());
        clock.timer(20, () => {
          reject(refused);
        });
      }),
  };
  const outcome = untilReady({
    ...{ probe, component: 'x', generation: 1, clock, random: () => 0.5, deadline: () => 1_000 },
    signal: new AbortController().signal,
  });
  await expect(clock.run(outcome)).rejects.toThrow('refused'.toUpperCase());
  const busyMs = beganAtMs.length * 20;
  expect(busyMs / 1_000).toBeLessThan(0.35);
});
