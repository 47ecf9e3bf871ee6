import { expect, test } from 'vitest';
import { failuresUntilUnready, followApiServer, lookEveryMs } from '../../src/vip/follow-api-server.ts';
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
