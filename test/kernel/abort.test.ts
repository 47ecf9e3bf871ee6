import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { abortable, abortError, linkedAbort, onAbort } from '../../src/kernel/abort.ts';
import { deferred } from '../../src/kernel/deferred.ts';

const listeners = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;
const reason = new Error('stop');

test('onAbort runs once when the signal aborts, at once if it already has', () => {
  const controller = new AbortController();
  let runs = 0;
  onAbort(controller.signal, () => (runs += 1));
  controller.abort(reason);
  onAbort(controller.signal, () => (runs += 1));
  expect(runs).toBe(2);
  expect(listeners(controller.signal)).toBe(0);
});

test('a disposed onAbort does not run and leaves no listener', () => {
  const controller = new AbortController();
  let runs = 0;
  onAbort(controller.signal, () => (runs += 1))[Symbol.dispose]();
  expect(listeners(controller.signal)).toBe(0);
  controller.abort(reason);
  expect(runs).toBe(0);
});

test('a linked abort follows each parent with its reason and lets go of all of them', () => {
  const one = new AbortController();
  const two = new AbortController();
  const linked = linkedAbort(one.signal, undefined, two.signal);
  two.abort(reason);
  expect(linked.signal.reason).toBe(reason);
  expect([listeners(one.signal), listeners(two.signal)]).toEqual([0, 0]);
});

test('a linked abort of an aborted parent is aborted from the start', () => {
  const long = new AbortController();
  const linked = linkedAbort(AbortSignal.abort(reason), long.signal);
  expect(linked.signal.reason).toBe(reason);
  linked[Symbol.dispose]();
  expect(listeners(long.signal)).toBe(0);
});

test('aborting or disposing a linked abort leaves its parents alone and without listeners', () => {
  const parent = new AbortController();
  const first = linkedAbort(parent.signal);
  first.abort(reason);
  expect(first.signal.aborted).toBe(true);
  linkedAbort(parent.signal)[Symbol.dispose]();
  expect([parent.signal.aborted, listeners(parent.signal)]).toEqual([false, 0]);
});

test('a thousand linked aborts of one long-lived signal leave no listener', () => {
  const parent = new AbortController();
  for (let round = 0; round < 1000; round += 1) linkedAbort(parent.signal)[Symbol.dispose]();
  expect(listeners(parent.signal)).toBe(0);
});

test('abortable settles like its promise and leaves no listener', async () => {
  const { signal } = new AbortController();
  await expect(abortable(Promise.resolve(7), signal)).resolves.toBe(7);
  await expect(abortable(Promise.reject(reason), signal)).rejects.toBe(reason);
  await Promise.resolve();
  expect(listeners(signal)).toBe(0);
});

test('abortable rejects with the reason of the abort, though the promise goes on', async () => {
  const controller = new AbortController();
  const gate = deferred<number>();
  const waiting = abortable(gate.promise, controller.signal);
  controller.abort(reason);
  await expect(waiting).rejects.toBe(reason);
  // Rejecting now must not become an unhandled rejection, which would fail the run.
  gate.reject(new Error('too late'));
  await Promise.resolve();
});

test('a reason that is no error is made one', () => {
  expect(abortError(AbortSignal.abort('enough'))).toEqual(new Error('enough'));
});
