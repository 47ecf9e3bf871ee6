import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { deferred } from '../../src/kernel/deferred.ts';
import { retryUntil, type RetryOptions } from '../../src/kernel/retry.ts';
import { fakeClock } from '../kit/fake-clock.ts';

const doubling = { firstMs: 100, factor: 2, maxMs: 800, jitter: 0 };

/** Attempts that note their time and do as the script says; the last entry repeats. */
function scripted(...script: (() => Promise<string>)[]) {
  const clock = fakeClock();
  const controller = new AbortController();
  const triedAtMs: number[] = [];
  let wake: () => void = () => undefined;
  let subscribed = 0;
  const options: RetryOptions<string> = {
    clock,
    random: () => 0.5,
    signal: controller.signal,
    backoff: doubling,
    attempt: (count) => {
      triedAtMs.push(clock.monotonicMs());
      return (script[Math.min(count, script.length) - 1] as () => Promise<string>)();
    },
    onHint: (callback) => {
      wake = callback;
      subscribed += 1;
      return { [Symbol.dispose]: () => void (subscribed -= 1) };
    },
  };
  const nothingLeft = () =>
    expect({
      timers: clock.pendingTimers,
      listeners: getEventListeners(controller.signal, 'abort').length,
      subscribed,
    }).toEqual({ timers: 0, listeners: 0, subscribed: 0 });
  return { clock, controller, triedAtMs, options, hint: () => wake(), nothingLeft };
}

const refuse = () => Promise.reject(new Error('refused'));
const succeed = () => Promise.resolve('done');

test('[S5] the first attempt is immediate, the next ones wait longer each time up to the cap', async () => {
  const run = scripted(refuse, refuse, refuse, refuse, refuse, refuse, succeed);
  await expect(run.clock.run(retryUntil(run.options))).resolves.toBe('done');
  expect(run.triedAtMs).toEqual([0, 100, 300, 700, 1500, 2300, 3100]);
  run.nothingLeft();
});

test('[S5] a function may set the delays instead', async () => {
  const run = scripted(refuse, refuse, succeed);
  await run.clock.run(retryUntil({ ...run.options, backoff: (retry) => retry * 7 }));
  expect(run.triedAtMs).toEqual([0, 7, 21]);
});

test('a hint wakes a waiting retry at once', async () => {
  const run = scripted(refuse, succeed);
  const done = retryUntil(run.options);
  await run.clock.advance(30);
  run.hint();
  await expect(done).resolves.toBe('done');
  expect(run.triedAtMs).toEqual([0, 30]);
  run.nothingLeft();
});

test('several hints during one attempt lead to exactly one more attempt at once', async () => {
  const gate = deferred<string>();
  const run = scripted(() => gate.promise, refuse, succeed);
  const done = retryUntil(run.options);
  await run.clock.advance(10);
  run.hint();
  run.hint();
  run.hint();
  gate.reject(new Error('refused'));
  await run.clock.settle();
  expect(run.triedAtMs).toEqual([0, 10]);
  await run.clock.run(done);
  expect(run.triedAtMs).toEqual([0, 10, 210]);
  run.nothingLeft();
});

test('a hint after the end is harmless', async () => {
  const run = scripted(succeed);
  await run.clock.run(retryUntil(run.options));
  run.hint();
  await run.clock.advance(1000);
  expect(run.triedAtMs).toEqual([0]);
});

test('an abort ends a wait with its reason at once', async () => {
  const run = scripted(refuse);
  const done = retryUntil(run.options);
  const reason = new Error('stopped by the user');
  await run.clock.advance(50);
  run.controller.abort(reason);
  await expect(done).rejects.toBe(reason);
  run.nothingLeft();
});

test('an abort ends an attempt that ignores it, and its late failure harms nobody', async () => {
  const gate = deferred<string>();
  const run = scripted(() => gate.promise);
  const done = retryUntil(run.options);
  const reason = new Error('stopped by the user');
  await run.clock.advance(50);
  run.controller.abort(reason);
  await expect(done).rejects.toBe(reason);
  gate.reject(new Error('too late'));
  await run.clock.settle();
  run.nothingLeft();
});

test('an aborted signal means no attempt at all', async () => {
  const run = scripted(succeed);
  const reason = new Error('before it began');
  run.controller.abort(reason);
  await expect(retryUntil(run.options)).rejects.toBe(reason);
  expect(run.triedAtMs).toEqual([]);
});

test.each([
  ['a TypeError', new TypeError('x is not a function')],
  ['a thrown string', 'just a string'],
  ['undefined', undefined],
])('%s is retried like any failure and comes out unchanged', async (_name, failure: unknown) => {
  // Whatever a library throws, this must hand on as it is.
  // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
  const run = scripted(() => Promise.reject(failure));
  const done = retryUntil({ ...run.options, shouldRetry: (_failure, count) => count < 3 });
  const outcome = done.catch((error: unknown) => ({ error }));
  expect(await run.clock.run(outcome)).toEqual({ error: failure });
  expect(run.triedAtMs).toHaveLength(3);
  run.nothingLeft();
});

test('an attempt that throws before it returns a promise counts as failed', async () => {
  const run = scripted(() => {
    throw new Error('thrown at once');
  }, succeed);
  await expect(run.clock.run(retryUntil(run.options))).resolves.toBe('done');
});

test('ten thousand attempts leave no listener and take no growing time', async () => {
  const run = scripted(refuse);
  const done = retryUntil({ ...run.options, backoff: () => 1, shouldRetry: (_failure, count) => count < 10_000 });
  await expect(run.clock.run(done)).rejects.toThrow('refused');
  expect(run.clock.monotonicMs()).toBe(9999);
  run.nothingLeft();
});
