import { expect, test } from 'vitest';
import { abortError, onAbort } from '../../src/kernel/abort.ts';
import { sleep } from '../../src/kernel/clock.ts';
import { staggeredRace } from '../../src/kernel/staggered-race.ts';
import { fakeClock } from '../kit/fake-clock.ts';

interface Way {
  readonly name: string;
  readonly afterMs: number;
  readonly fails?: boolean;
}

function race(ways: readonly Way[], signal = new AbortController().signal) {
  const clock = fakeClock();
  const begun: string[] = [];
  const ended: string[] = [];
  const result = staggeredRace({
    candidates: ways,
    staggerMs: 250,
    clock,
    signal,
    attempt: async ({ name, afterMs, fails = false }, end) => {
      begun.push(`${name}@${String(clock.monotonicMs())}`);
      onAbort(end, () => ended.push(name));
      await sleep(clock, afterMs, end);
      if (fails) throw new Error(`${name} failed`);
      return name;
    },
  });
  return { clock, begun, ended, result };
}

test('the first candidate alone is tried when it answers in time', async () => {
  const { clock, begun, result } = race([
    { name: 'a', afterMs: 100 },
    { name: 'b', afterMs: 1 },
  ]);
  expect(await clock.run(result)).toMatchObject({ ok: true, value: 'a', failures: [] });
  expect(begun).toEqual(['a@0']);
  expect(clock.pendingTimers).toBe(0);
});

test('a silent one is overtaken after the stagger, and a failed one at once', async () => {
  const { clock, begun, ended, result } = race([
    { name: 'silent', afterMs: 60_000 },
    { name: 'refuses', afterMs: 10, fails: true },
    { name: 'answers', afterMs: 50 },
  ]);
  const outcome = await clock.run(result);
  expect(outcome).toMatchObject({ ok: true, value: 'answers', failures: [{ error: new Error('refuses failed') }] });
  expect(begun).toEqual(['silent@0', 'refuses@250', 'answers@260']);
  expect(clock.monotonicMs()).toBe(310);
  expect(ended).toContain('silent');
  expect(clock.pendingTimers).toBe(0);
});

test('a late answer of an overtaken one counts', async () => {
  const { clock, result } = race([
    { name: 'late', afterMs: 400 },
    { name: 'later', afterMs: 400 },
  ]);
  expect(await clock.run(result)).toMatchObject({ ok: true, value: 'late' });
});

test('when all fail there is one reason for each, and with none there is none', async () => {
  const all = race([
    { name: 'a', afterMs: 300, fails: true },
    { name: 'b', afterMs: 10, fails: true },
  ]);
  expect(await all.clock.run(all.result)).toEqual({
    ok: false,
    failures: [
      { candidate: { name: 'b', afterMs: 10, fails: true }, error: new Error('b failed') },
      { candidate: { name: 'a', afterMs: 300, fails: true }, error: new Error('a failed') },
    ],
  });
  const none = race([]);
  expect(await none.clock.run(none.result)).toEqual({ ok: false, failures: [] });
});

test('whoever gives up ends all of it', async () => {
  const controller = new AbortController();
  const { clock, ended, result } = race(
    [
      { name: 'a', afterMs: 60_000 },
      { name: 'b', afterMs: 60_000 },
    ],
    controller.signal,
  );
  const settled = result.catch((error: unknown) => error);
  await clock.advance(300);
  controller.abort(new Error('enough'));
  expect(await settled).toEqual(abortError(controller.signal));
  expect(ended).toEqual(['a', 'b']);
  expect(clock.pendingTimers).toBe(0);
});
