import { expect, test } from 'vitest';
import { createAsking } from '../../../src/vip/actuate/asking.ts';
import type { Claim } from '../../../src/vip/actuate/claim.ts';
import type { Ears } from '../../../src/vip/actuate/ears.ts';
import type { Link } from '../../../src/vip/actuate/network-state.ts';
import { fakeClock } from '../../kit/fake-clock.ts';

const address = '10.0.0.1';
const link: Link = { index: 2, name: 'eth0', mac: '02:00:00:00:00:01', isUp: true, addresses: [] };
const wanted = new Map([[address, link]]);
const { signal } = new AbortController();

/** A link on which somebody answers, or nobody. */
function onLink() {
  const clock = fakeClock();
  const listeners = new Set<(claim: Claim) => void>();
  const there = { mac: undefined as string | undefined, questions: 0 };
  const ears: Ears = {
    link: () => ({
      send() {
        there.questions += 1;
        const { mac } = there;
        if (mac !== undefined) for (const listener of listeners) listener({ address, mac, isProbe: false });
        return undefined;
      },
      receive: () => [],
      [Symbol.dispose]: () => undefined,
    }),
    listen(listener) {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
    hear: () => undefined,
    [Symbol.dispose]: () => undefined,
  };
  const times = { count: 3, intervalMs: 50 };
  return { clock, there, asking: createAsking({ ears, clock, times, ownMacs: () => new Set() }) };
}

test('whoever asks ahead of time need not wait when nobody has answered, for a while', async () => {
  const { clock, there, asking } = onLink();
  asking.begin(wanted, signal);
  await clock.advance(200);
  expect(there.questions).toBe(3);
  const beganMs = clock.monotonicMs();
  expect(await clock.run(asking.answered(wanted, signal))).toEqual(new Map());
  expect(clock.monotonicMs()).toBe(beganMs);
  await clock.advance(2000);
  await clock.run(asking.answered(wanted, signal));
  expect(there.questions).toBe(6);
});

test('waits for the questions that are under way', async () => {
  const { clock, there, asking } = onLink();
  asking.begin(wanted, signal);
  await clock.advance(60);
  await clock.run(asking.answered(wanted, signal));
  expect([there.questions, clock.monotonicMs()]).toEqual([3, 150]);
});

test('an answer from before is asked for again: it may have been the owner’s, who has let go', async () => {
  const { clock, there, asking } = onLink();
  there.mac = '02:00:00:00:00:99';
  asking.begin(wanted, signal);
  await clock.advance(200);
  expect(await clock.run(asking.answered(wanted, signal))).toEqual(new Map([[address, there.mac]]));
  there.mac = undefined;
  expect(await clock.run(asking.answered(wanted, signal))).toEqual(new Map());
});

test('of what was given up nothing is known', async () => {
  const { clock, there, asking } = onLink();
  asking.begin(wanted, signal);
  await clock.advance(200);
  asking.forget(address);
  await clock.run(asking.answered(wanted, signal));
  expect(there.questions).toBe(6);
});
