import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { readinessChannel } from '../../src/executor/channel.ts';
import { latch } from '../../src/kernel/latch.ts';
import type { UnitSnapshot } from '../../src/unit/state.ts';
import { errorNamed } from './machine-fixture.ts';
import { snapshotOf } from './snapshots.ts';

function channelOf(first: UnitSnapshot) {
  const snapshots = latch(first);
  return { snapshots, channel: readinessChannel(snapshots) };
}

test('a late reader of a ready unit gets its readiness at once, with generation and time', async () => {
  const readyAt = { wallMs: 5, monotonicMs: 4 };
  const { channel } = channelOf(snapshotOf('etcd', 'ready', { generation: 3, readyAt }));
  await expect(channel.ready()).resolves.toEqual({ unit: 'etcd', generation: 3, at: readyAt });
});

test('one change settles all waiters', async () => {
  const { channel, snapshots } = channelOf(snapshotOf('a', 'starting'));
  const waiters = Array.from({ length: 50 }, () => channel.ready());
  snapshots.set(snapshotOf('a', 'ready'));
  expect((await Promise.all(waiters)).every(({ unit }) => unit === 'a')).toBe(true);
});

test.each(['failed', 'blocked'] as const)('waiting for a unit that is %s rejects with its error', async (state) => {
  const { channel, snapshots } = channelOf(snapshotOf('a', 'starting'));
  const lastError = errorNamed('port is taken');
  const waiter = channel.ready();
  snapshots.set(snapshotOf('a', state, { lastError }));
  await expect(waiter).rejects.toBe(lastError);
});

test('waiting for a unit that is stopped says that it was stopped, not what failed before', async () => {
  const { channel } = channelOf(snapshotOf('a', 'stopped', { desired: 'down', lastError: errorNamed('old') }));
  await expect(channel.ready()).rejects.toMatchObject({ code: 'ERR_STOPPED', detail: { component: 'a' } });
});

test('after a rejection the same channel can be waited on again and resolves on recovery', async () => {
  const { channel, snapshots } = channelOf(snapshotOf('a', 'failed', { lastError: errorNamed('first') }));
  await expect(channel.ready()).rejects.toThrow('first');
  snapshots.set(snapshotOf('a', 'waiting'));
  const waiter = channel.ready();
  snapshots.set(snapshotOf('a', 'ready', { generation: 2 }));
  await expect(waiter).resolves.toMatchObject({ generation: 2 });
});

test('backoff is no rejection: the unit is still trying', async () => {
  const { channel, snapshots } = channelOf(snapshotOf('a', 'backoff', { lastError: errorNamed('first') }));
  const waiter = channel.ready();
  snapshots.set(snapshotOf('a', 'starting'));
  snapshots.set(snapshotOf('a', 'done'));
  await expect(waiter).resolves.toMatchObject({ unit: 'a' });
});

test('a failure that nobody waits for is no unhandled rejection', async () => {
  const rejections: unknown[] = [];
  const note = (reason: unknown) => void rejections.push(reason);
  process.on('unhandledRejection', note);
  const { snapshots } = channelOf(snapshotOf('a', 'starting'));
  snapshots.set(snapshotOf('a', 'failed', { lastError: errorNamed('alone') }));
  await new Promise((resolve) => void setImmediate(resolve));
  process.off('unhandledRejection', note);
  expect(rejections).toEqual([]);
});

test('an abort rejects the waiter with its reason, leaves no listener, and the unit goes on', async () => {
  const { channel, snapshots } = channelOf(snapshotOf('a', 'starting'));
  const controller = new AbortController();
  const waiter = channel.ready({ signal: controller.signal });
  expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1);
  controller.abort(new Error('changed my mind'));
  await expect(waiter).rejects.toThrow('changed my mind');
  expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
  snapshots.set(snapshotOf('a', 'ready'));
  await expect(channel.ready({ signal: controller.signal })).rejects.toThrow('changed my mind');
  await expect(channel.ready()).resolves.toMatchObject({ unit: 'a' });
});

test('a waiter that is satisfied leaves no listener on its signal', async () => {
  const { channel, snapshots } = channelOf(snapshotOf('a', 'starting'));
  const { signal } = new AbortController();
  const waiter = channel.ready({ signal });
  snapshots.set(snapshotOf('a', 'ready'));
  await waiter;
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
});

test('a subscriber sees the present state first, then each one, and nothing after disposal', () => {
  const { channel, snapshots } = channelOf(snapshotOf('a', 'waiting'));
  const seen: string[] = [];
  const subscription = channel.subscribe(({ state }) => void seen.push(state));
  snapshots.set(snapshotOf('a', 'starting'));
  subscription[Symbol.dispose]();
  snapshots.set(snapshotOf('a', 'ready'));
  expect(seen).toEqual(['waiting', 'starting']);
});

test('a slow iterator skips to the newest state', async () => {
  const { channel, snapshots } = channelOf(snapshotOf('a', 'inactive'));
  const reader = channel[Symbol.asyncIterator]();
  const stateNow = async () => ((await reader.next()).value as UnitSnapshot).state;
  expect(await stateNow()).toBe('inactive');
  for (const state of ['waiting', 'starting', 'ready'] as const) snapshots.set(snapshotOf('a', state));
  expect(await stateNow()).toBe('ready');
  const next = stateNow();
  snapshots.set(snapshotOf('a', 'unhealthy'));
  expect(await next).toBe('unhealthy');
});
