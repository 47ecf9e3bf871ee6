import { expect, test } from 'vitest';
import { checkTiming, defaultTimes, shortestCallMs } from '../../src/vip/coordination/timing.ts';
import { answerWithinMs, failuresUntilUnready, followApiServer, lookEveryMs } from '../../src/vip/follow-api-server.ts';
import { fakeClock } from '../kit/fake-clock.ts';

/** Each answer of the API server in turn, the last for ever; `never`: none in time. */
async function told(answers: readonly ('yes' | 'no' | 'never')[], looks: number): Promise<readonly string[]> {
  const clock = fakeClock();
  const end = new AbortController();
  const changes: string[] = [];
  let asked = 0;
  const running = followApiServer({
    probe: {
      describe: () => 'the API server',
      check() {
        const answer = answers[Math.min(asked, answers.length - 1)];
        asked += 1;
        if (answer === 'never') return new Promise(() => undefined);
        return answer === 'yes' ? Promise.resolve() : Promise.reject(new Error('no'));
      },
    },
    clock,
    answerWithinMs: 100,
    onChange: (isReady) => changes.push(`${String(asked)} ${isReady ? 'ready' : 'not ready'}`),
    signal: end.signal,
  });
  const ended = expect(running).rejects.toThrow('enough');
  await clock.settle();
  while (asked < looks) await clock.advance(lookEveryMs);
  await clock.settle();
  end.abort(new Error('enough'));
  await ended;
  expect(clock.pendingTimers).toBe(0);
  return changes;
}

test('what it is at first is told at once', async () => {
  expect(await told(['yes'], 1)).toEqual(['1 ready']);
  expect(await told(['no'], 5)).toEqual(['1 not ready']);
});

test('one that misses an answer now and then is ready all the same', async () => {
  const missed = Array.from({ length: failuresUntilUnready - 1 }, () => 'no' as const);
  expect(await told(['yes', ...missed, 'yes', ...missed, 'yes'], 10)).toEqual(['1 ready']);
});

test('several failures in a row count, also by silence, and one good answer ends that', async () => {
  expect(await told(['yes', 'no', 'never', 'no', 'no', 'yes'], 8)).toEqual(['1 ready', '4 not ready', '6 ready']);
});

test('one that hangs is known while a renewal can still be made elsewhere', async () => {
  const timing = checkTiming(defaultTimes);
  if (!timing.ok) throw new Error('the defaults do not fit');
  const { renewDeadlineMs } = timing.value;
  const clock = fakeClock();
  const end = new AbortController();
  let isHung = false;
  let knownAtMs: number | undefined;
  const running = followApiServer({
    probe: {
      describe: () => 'the API server',
      check: () => (isHung ? new Promise(() => undefined) : Promise.resolve()),
    },
    clock,
    answerWithinMs: answerWithinMs(timing.value),
    onChange(isReady) {
      if (!isReady) knownAtMs = clock.monotonicMs();
    },
    signal: end.signal,
  });
  const ended = expect(running).rejects.toThrow('enough');
  await clock.settle();
  // The next look is as far away as it can be, and a renewal begins.
  isHung = true;
  const hungAtMs = clock.monotonicMs();
  while (knownAtMs === undefined && clock.monotonicMs() < hungAtMs + 10_000) await clock.advance(25);
  expect((knownAtMs ?? Infinity) - hungAtMs).toBeLessThanOrEqual(renewDeadlineMs - 5 * shortestCallMs);
  end.abort(new Error('enough'));
  await ended;
});
