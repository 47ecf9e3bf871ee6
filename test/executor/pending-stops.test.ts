/** What is told of units whose stop waits for others. */
import { expect, test } from 'vitest';
import { createPendingStops } from '../../src/executor/pending-stops.ts';
import { deferred } from '../../src/kernel/deferred.ts';
import { fakeGraph } from '../kit/fake-graph.ts';

// kubelet → api → etcd; metrics → etcd, which is not asked for.
const graph = fakeGraph('kubelet -> hard api; api -> hard etcd; metrics -> soft etcd');
const stopsAfter = (name: string) => graph.stopsAfter(name);
const names = ['kubelet', 'api', 'etcd'];

test('each waits for those that stop before it, from the request until its own turn', async () => {
  const pending = createPendingStops();
  const told = () => names.map((name) => pending.waitsFor(name));
  const gates = new Map(names.map((name) => [name, deferred()]));
  const begun: string[] = [];
  const stop = (name: string) => {
    begun.push(name);
    return gates.get(name)?.promise ?? Promise.resolve();
  };
  const done = pending.inOrder(names, stopsAfter, stop, () => true);
  expect(told()).toEqual([[], ['kubelet'], ['api']]);
  gates.get('kubelet')?.resolve();
  await expect.poll(() => begun).toEqual(['kubelet', 'api']);
  expect(told()).toEqual([[], [], ['api']]);
  for (const gate of gates.values()) gate.resolve();
  await done;
  expect(told()).toEqual([[], [], []]);
});

test('one that somebody else has moved since waits for nothing; requests on the same unit add up', async () => {
  const pending = createPendingStops();
  const meant = new Set(names);
  const gate = deferred();
  const first = pending.inOrder(
    ['kubelet', 'api', 'etcd'],
    stopsAfter,
    () => gate.promise,
    (name) => meant.has(name),
  );
  const second = pending.inOrder(
    ['metrics', 'etcd'],
    stopsAfter,
    () => gate.promise,
    () => true,
  );
  expect(pending.waitsFor('etcd')).toEqual(['api', 'metrics']);
  meant.delete('etcd');
  expect(pending.waitsFor('etcd')).toEqual(['metrics']);
  gate.resolve();
  await Promise.all([first, second]);
  expect(pending.waitsFor('etcd')).toEqual([]);
});

test('a stop that fails leaves nothing behind', async () => {
  const pending = createPendingStops();
  const failure = new Error('planted');
  const done = pending.inOrder(
    names,
    stopsAfter,
    () => Promise.reject(failure),
    () => true,
  );
  await expect(done).rejects.toBe(failure);
  expect(pending.waitsFor('etcd')).toEqual([]);
});
