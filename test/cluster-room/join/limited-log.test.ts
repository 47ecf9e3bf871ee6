import { expect, test } from 'vitest';
import { limitedLog } from '../../../src/cluster/join/limited-log.ts';
import { fakeClock } from '../../kit/fake-clock.ts';

function scene() {
  const clock = fakeClock();
  const lines: string[] = [];
  const limited = limitedLog({ log: (line) => lines.push(line), clock, most: 2, periodMs: 60_000 });
  const flood = (first: number, last: number) => {
    for (let index = first; index <= last; index += 1) limited.log(`line ${String(index)}`);
  };
  return { clock, lines, limited, flood };
}
const tooMany = 'more than 2 lines in 60 s: the others are only counted';

test('a flood is told of and counted, and what comes after it is told again', async () => {
  const { clock, lines, limited, flood } = scene();
  flood(1, 2);
  await clock.advance(60_000);
  flood(3, 100);
  await clock.advance(59_999);
  limited.log('line 101');
  await clock.advance(1);
  limited.log('line 102');
  expect(lines).toEqual([
    ...['line 1', 'line 2', 'line 3', 'line 4', tooMany],
    ...['97 more lines like those before were left out', 'line 102'],
  ]);
});

test('how many there were is told also when no other comes, and nothing waits after that', async () => {
  const { clock, lines, flood } = scene();
  flood(1, 5);
  expect(clock.pendingTimers).toBe(1);
  await clock.advance(60_000);
  expect(lines).toEqual(['line 1', 'line 2', tooMany, '3 more lines like those before were left out']);
  expect(clock.pendingTimers).toBe(0);
});

test('and when its owner ends', () => {
  const { clock, lines, limited, flood } = scene();
  flood(1, 5);
  limited[Symbol.dispose]();
  expect(lines.at(-1)).toBe('3 more lines like those before were left out');
  expect(clock.pendingTimers).toBe(0);
  limited[Symbol.dispose]();
  expect(lines).toHaveLength(4);
});
