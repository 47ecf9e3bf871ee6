import { getEventListeners, once } from 'node:events';
import { expect, test } from 'vitest';
import { latch } from '../../src/kernel/latch.ts';

test('a late subscriber sees the present value first, then each later one, until disposed', () => {
  const state = latch('a');
  state.set('b');
  const seen: string[] = [];
  const subscription = state.subscribe((value) => seen.push(value));
  state.set('c');
  subscription[Symbol.dispose]();
  state.set('d');
  expect(seen).toEqual(['b', 'c']);
  expect(state.current).toBe('d');
});

test('when resolves with the present value if that is accepted, else with the first later one', async () => {
  const state = latch(1);
  await expect(state.when((value) => value === 1)).resolves.toBe(1);
  const later = state.when((value) => value > 2);
  state.set(2);
  state.set(3);
  state.set(4);
  await expect(later).resolves.toBe(3);
});

test('an aborted when rejects with the reason and leaves no listener', async () => {
  const state = latch(1);
  const controller = new AbortController();
  const reason = new Error('enough');
  const waiting = state.when((value) => value === 2, { signal: controller.signal });
  expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1);
  controller.abort(reason);
  await expect(waiting).rejects.toBe(reason);
  await expect(state.when(() => true, { signal: controller.signal })).rejects.toBe(reason);
});

test('a fulfilled when leaves no listener on its signal', async () => {
  const state = latch(1);
  const { signal } = new AbortController();
  const waiting = state.when((value) => value === 2, { signal });
  state.set(2);
  await waiting;
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
});

test('a slow reader skips to the newest value', async () => {
  const state = latch(1);
  const reader = state[Symbol.asyncIterator]();
  expect((await reader.next()).value).toBe(1);
  state.set(2);
  state.set(3);
  expect((await reader.next()).value).toBe(3);
});

test('a listener may unsubscribe itself or another while values are told', () => {
  const state = latch(0);
  const seen: string[] = [];
  const first = state.subscribe((value) => {
    seen.push(`first ${String(value)}`);
    if (value === 1) first[Symbol.dispose]();
  });
  state.subscribe((value) => seen.push(`second ${String(value)}`));
  state.set(1);
  state.set(2);
  expect(seen).toEqual(['first 0', 'second 0', 'first 1', 'second 1', 'second 2']);
});

test('a listener that throws is an error of its own: the value is set and the others are told', async () => {
  const state = latch(0);
  const seen: number[] = [];
  state.subscribe((value) => {
    if (value === 1) throw new Error('mine');
  });
  state.subscribe((value) => seen.push(value));
  const before = process.rawListeners('uncaughtException') as ((error: Error) => void)[];
  process.removeAllListeners('uncaughtException');
  try {
    const uncaught = once(process, 'uncaughtException');
    state.set(1);
    expect([state.current, ...seen]).toEqual([1, 0, 1]);
    expect(await uncaught).toMatchObject([{ message: 'mine' }, 'uncaughtException']);
  } finally {
    for (const listener of before) process.on('uncaughtException', listener);
  }
});

test('a when whose question throws rejects with that, and nobody else notices', async () => {
  const state = latch(0);
  const waiting = state.when((value) => {
    if (value === 1) throw new Error('mine');
    return false;
  });
  state.set(1);
  await expect(waiting).rejects.toThrow('mine');
});
