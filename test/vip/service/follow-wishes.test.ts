import { expect, test } from 'vitest';
import { followWishes } from '../../../src/vip/service/follow-wishes.ts';
import { noWishes, wishesObject, type Wishes } from '../../../src/vip/service/wishes.ts';
import { fakeClock } from '../../kit/fake-clock.ts';

const cordoned: Wishes = { ...noWishes, cordoned: ['a'] };
const missing = () => Promise.reject(Object.assign(new Error('not found'), { status: 404 }));
const never = (signal: AbortSignal) =>
  new Promise<never>((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('enough'))));

/** Operators have cordoned a node; the watch tells that, and of nothing that is deleted. */
function following() {
  const clock = fakeClock();
  const end = new AbortController();
  const told: Wishes[] = [];
  let present = noWishes;
  let get: () => Promise<unknown> = () => Promise.resolve(wishesObject('kube-system', cordoned));
  const done = followWishes(
    {
      api: {
        get: () => get(),
        async *watch(_path, _query, signal) {
          yield { type: 'ADDED', object: wishesObject('kube-system', cordoned) };
          yield await never(signal);
        },
      },
      namespace: 'kube-system',
      present: () => present,
      onWishes(wishes) {
        present = wishes;
        told.push(wishes);
      },
      clock,
    },
    end.signal,
  );
  done.catch(() => undefined);
  return {
    clock,
    told,
    done,
    answer: (next: () => Promise<unknown>) => (get = next),
    writes: (wishes: Wishes) => (present = wishes),
    async [Symbol.asyncDispose]() {
      end.abort(new Error('enough'));
      await done.catch(() => undefined);
    },
  };
}

test('wishes that are deleted as the watch begins are in force for a second', async () => {
  await using one = following();
  await one.clock.settle();
  expect(one.told).toEqual([cordoned]);
  one.answer(missing);
  await one.clock.advance(1000);
  expect(one.told).toEqual([cordoned, noWishes]);
});

test('those that are deleted while the watch is broken are for a minute; a read that shows no change tells nothing', async () => {
  await using one = following();
  await one.clock.advance(5000);
  expect(one.told).toEqual([cordoned]);
  one.answer(missing);
  await one.clock.advance(60_000);
  expect(one.told).toEqual([cordoned, noWishes]);
});

test('what is written down while they are read is newer than what is read', async () => {
  await using one = following();
  await one.clock.settle();
  let answer: (object: unknown) => void = () => undefined;
  one.answer(() => new Promise((resolve) => (answer = resolve)));
  await one.clock.advance(1000);
  one.writes({ ...noWishes, draining: ['b'] });
  answer({});
  await one.clock.settle();
  expect(one.told).toEqual([cordoned]);
});

test('a read that is refused ends it, and whoever keeps it going begins anew', async () => {
  await using one = following();
  one.answer(() => Promise.reject(Object.assign(new Error('forbidden'), { status: 403 })));
  await one.clock.advance(1000);
  await expect(one.done).rejects.toThrow('forbidden');
  expect(one.clock.pendingTimers).toBe(0);
});
