import { describe, expect, test } from 'vitest';
import { levelOf } from '../../../src/vip/plan/traffic-weight.ts';
import { levelsOf, measure, noRates, type TrafficRates } from '../../../src/vip/traffic/traffic-rates.ts';

const mib = 1024 * 1024;
/** One sample each ten seconds, of one address. */
function after(...bytes: readonly number[]): TrafficRates {
  return bytes.reduce((rates, now, at) => measure(rates, new Map([['a', now]]), 10_000 * (at + 1)), noRates);
}
const steady = (times: number, perS: number, from = 0) =>
  Array.from({ length: times }, (_, at) => from + at * 10 * perS);

describe('the level of an address', () => {
  test.each<readonly [string, TrafficRates, number | undefined]>([
    ['is told of nothing', noRates, undefined],
    ['is not told before half a minute', after(...steady(3, mib)), undefined],
    ['is what there is, from its first moment', after(...steady(4, mib)), levelOf(mib)],
    ['of what is idle is 0', after(...steady(4, 0)), 0],
    ['begins with what was counted before as nothing', after(...steady(4, 0, 1000 * mib)), 0],
    [
      'goes on when somebody sets the counter back',
      after(...steady(4, mib), ...steady(4, mib, 10 * mib)),
      levelOf(mib),
    ],
  ])('%s', (_what, rates, level) => {
    expect(levelsOf(rates).get('a')).toBe(level);
  });

  test('follows: half of what is new counts after a minute', () => {
    const quiet = steady(31, 0);
    const last = after(...quiet, ...steady(6, mib, 10 * mib));
    expect(Math.abs((levelsOf(last).get('a') ?? 0) - levelOf(mib / 2))).toBeLessThanOrEqual(1);
  });

  test('is forgotten with the address, which begins anew', () => {
    const known = after(...steady(6, mib));
    const gone = measure(known, new Map(), 70_000);
    expect(levelsOf(gone).size).toBe(0);
    expect(levelsOf(measure(gone, new Map([['a', 5]]), 80_000)).size).toBe(0);
  });
});
