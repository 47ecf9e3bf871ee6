import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseCron } from '../../src/kernel/cron.ts';

const local = (text: string) => new Date(text).getTime();
const next = (schedule: string, after: string) => {
  const ms = parseCron(schedule).nextMs(local(after));
  return ms === undefined
    ? undefined
    : new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
};

test.each([
  ['* * * * *', '2026-11-26T05:00:00', '2026-11-26T05:01'],
  ['* * * * *', '2026-11-26T05:00:59', '2026-11-26T05:01'],
  ['0 */12 * * *', '2026-11-26T05:00:00', '2026-11-26T12:00'],
  ['0 */12 * * *', '2026-11-26T12:00:00', '2026-11-27T00:00'],
  ['@hourly', '2026-12-31T23:30:00', '2027-01-01T00:00'],
  ['@daily', '2026-02-28T00:00:00', '2026-03-01T00:00'],
  ['15,45 8-10 * * mon-fri', '2026-11-27T10:45:00', '2026-11-30T08:15'],
  ['5/20 3 * * *', '2026-11-26T03:25:00', '2026-11-26T03:45'],
  ['0 0 1 jan *', '2026-11-26T05:00:00', '2027-01-01T00:00'],
  ['0 0 * * 7', '2026-11-26T05:00:00', '2026-11-29T00:00'],
  // Both day fields say something: either is enough.
  ['0 0 13 * fri', '2026-11-26T05:00:00', '2026-11-27T00:00'],
  ['0 0 13 * fri', '2026-12-12T05:00:00', '2026-12-13T00:00'],
  ['0 0 29 2 *', '2026-11-26T05:00:00', '2028-02-29T00:00'],
  ['0 0 30 2 *', '2026-11-26T05:00:00', undefined],
])('%s after %s comes at %s', (schedule, after, expected) => {
  expect(next(schedule, after)).toBe(expected);
});

test.each([
  ['', '5 fields, like "0 */12 * * *", and not 1'],
  ['* * * *', 'not 4'],
  ['60 * * * *', '"60" is no minute: 0 to 59'],
  ['* 24 * * *', 'hour'],
  ['* * 0 * *', 'day of the month: 1 to 31'],
  ['* * * foo *', '"foo" is no month'],
  ['* * * * mon-sun-tue', 'day of the week'],
  ['5-1 * * * *', '"5-1" is no minute'],
  ['*/0 * * * *', '"*/0" is no minute'],
  ['1,,2 * * * *', '"" is no minute'],
  ['@sometimes', 'and not 1'],
])('"%s" is refused', (schedule, reason) => {
  expect(() => parseCron(schedule)).toThrow(reason);
});

test('the next time is the first that fits: none between is passed over', () => {
  const number = (low: number, high: number) => fc.integer({ min: low, max: high }).map(String);
  const field = (low: number, high: number) => fc.oneof(fc.constant('*'), number(low, high), fc.constant('*/7'));
  fc.assert(
    fc.property(field(0, 59), field(0, 23), fc.integer({ min: 28_000_000, max: 31_000_000 }), (minute, hour, at) => {
      const schedule = parseCron(`${minute} ${hour} * * *`);
      const fits = (ms: number) => {
        const time = new Date(ms);
        const one = (text: string, value: number) =>
          text === '*' || (text.startsWith('*/') ? value % 7 === 0 : Number(text) === value);
        return one(minute, time.getMinutes()) && one(hour, time.getHours());
      };
      let expected = (at + 1) * 60_000;
      while (!fits(expected)) expected += 60_000;
      expect(schedule.nextMs(at * 60_000)).toBe(expected);
    }),
    { numRuns: 200 },
  );
});
