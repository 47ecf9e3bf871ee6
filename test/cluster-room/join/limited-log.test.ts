import { expect, test } from 'vitest';
import { limitedLog } from '../../../src/cluster/join/limited-log.ts';
import { fakeClock } from '../../kit/fake-clock.ts';

test('a flood is told of and counted, and what comes after it is told again', async () => {
  const clock = fakeClock();
  const lines: string[] = [];
  const log = limitedLog({ log: (line) => lines.push(line), clock, most: 2, periodMs: 60_000 });
  for (let index = 1; index <= 2; index += 1) log(`line ${String(index)}`);
  await clock.advance(60_000);
  for (let index = 3; index <= 100; index += 1) log(`line ${String(index)}`);
  await clock.advance(59_999);
  log('line 101');
  await clock.advance(1);
  log('line 102');
  expect(lines).toEqual([
    ...['line 1', 'line 2', 'line 3', 'line 4'],
    'more than 2 lines in 60 s: the others are only counted',
    '97 more lines like those before were left out',
    'line 102',
  ]);
});
