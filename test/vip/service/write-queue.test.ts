import { expect, test } from 'vitest';
import { abortable } from '../../../src/kernel/abort.ts';
import { deferred } from '../../../src/kernel/deferred.ts';
import { writeQueue } from '../../../src/vip/service/write-queue.ts';
import { fakeClock } from '../../kit/fake-clock.ts';

function world() {
  const clock = fakeClock();
  const failures: string[] = [];
  const written: string[] = [];
  const end = new AbortController();
  const queue = writeQueue({
    clock,
    random: () => 0.5,
    isFinal: (error) => (error as Error).message === 'never',
    onFailure: (key, reason, times) => failures.push(`${key}: ${reason} ${String(times)}`),
    signal: end.signal,
  });
  const write = (text: string) => () => {
    written.push(`${text} at ${String(clock.monotonicMs())}`);
    return Promise.resolve();
  };
  return { clock, failures, written, end, queue, write };
}

test('a write that fails is tried again, later each time, and holds up no other', async () => {
  const { clock, failures, written, queue, write } = world();
  let tries = 0;
  queue.put('a', async (signal) => {
    tries += 1;
    if (tries < 3) throw new Error('etcdserver: request timed out');
    await write('a')();
    signal.throwIfAborted();
  });
  queue.put('b', write('b'));
  await clock.advance(0);
  expect(written).toEqual(['b at 0']);
  await clock.advance(1000);
  expect(written).toEqual(['b at 0', 'a at 600']);
  expect(failures).toEqual(['a: etcdserver: request timed out 1', 'a: etcdserver: request timed out 2']);
  expect(queue.waiting).toBe(0);
});

test('only the newest of a key is written', async () => {
  const { clock, written, queue, write } = world();
  const gate = deferred();
  queue.put('slow', () => gate.promise);
  queue.put('a', write('old'));
  queue.put('a', write('new'));
  await clock.advance(100);
  expect(written).toEqual([]);
  gate.resolve();
  await clock.advance(0);
  expect(written).toEqual(['new at 100']);
});

test('a write that hangs is given up after a while, and the others go on', async () => {
  const { clock, failures, written, queue, write } = world();
  queue.put('hangs', (signal) => abortable(deferred<never>().promise, signal));
  queue.put('b', write('b'));
  await clock.advance(10_000);
  expect(written).toEqual(['b at 10000']);
  expect(failures).toEqual(['hangs: no answer within 10000 ms 1']);
});

test('what is refused for good is not tried again, and nothing is left after its end', async () => {
  const { clock, end, queue } = world();
  queue.put('a', () => Promise.reject(new Error('never')));
  await clock.advance(0);
  expect(queue.waiting).toBe(0);
  queue.put('b', () => Promise.reject(new Error('away')));
  await clock.advance(0);
  end.abort(new Error('the end'));
  queue[Symbol.dispose]();
  expect(clock.pendingTimers).toBe(0);
});
