import { describe, expect, test } from 'vitest';
import { parseMaintenanceWindow } from '../../../src/vip/plan/maintenance-window.ts';

const at = (text: string) => new Date(text).getTime();
function told(window: string, when: string): string {
  const { isOpen, changesAtMs } = parseMaintenanceWindow(window).at(at(when));
  const change = changesAtMs === undefined ? 'never' : new Date(changesAtMs).toISOString().slice(0, 16);
  return `${isOpen ? 'open until' : 'closed until'} ${change}`;
}

describe('a window is open for as long as it says', () => {
  test.each([
    ['0 2 * * * 2h', '2026-11-26T01:59:59.999Z', 'closed until 2026-11-26T02:00'],
    ['0 2 * * * 2h', '2026-11-26T02:00:00Z', 'open until 2026-11-26T04:00'],
    ['0 2 * * * 2h', '2026-11-26T03:59:59.999Z', 'open until 2026-11-26T04:00'],
    ['0 2 * * * 2h', '2026-11-26T04:00:00Z', 'closed until 2026-11-27T02:00'],
    ['0 23 * * sat 3h', '2026-11-29T01:00:00Z', 'open until 2026-11-29T02:00'],
    ['@daily 30m UTC', '2026-11-26T00:10:00Z', 'open until 2026-11-26T00:30'],
    // Openings within a window prolong it.
    ['0 1,2 * * * 90m', '2026-11-26T01:10:00Z', 'open until 2026-11-26T03:30'],
    ['0 0 30 2 * 1h', '2026-11-26T00:00:00Z', 'closed until never'],
  ])('%s at %s: %s', (window, when, expected) => {
    expect(told(window, when)).toBe(expected);
  });
});

describe('in a time zone, over the changes of its clocks', () => {
  test.each([
    // Winter and summer in Berlin: UTC+1 and UTC+2.
    ['0 2 * * * 2h Europe/Berlin', '2026-01-15T00:30:00Z', 'closed until 2026-01-15T01:00'],
    ['0 2 * * * 2h Europe/Berlin', '2026-07-15T00:30:00Z', 'open until 2026-07-15T02:00'],
    // 29 March 2026: from 02:00 to 03:00. What is not shown is passed over; what runs goes on for its time.
    ['30 2 * * * 2h Europe/Berlin', '2026-03-28T23:00:00Z', 'closed until 2026-03-30T00:30'],
    ['30 1 * * * 2h Europe/Berlin', '2026-03-29T01:00:00Z', 'open until 2026-03-29T02:30'],
    ['0 3 * * * 1h Europe/Berlin', '2026-03-29T00:30:00Z', 'closed until 2026-03-29T01:00'],
    // 25 October 2026: from 03:00 back to 02:00. 02:30 comes twice, and counts once.
    ['30 2 * * * 30m Europe/Berlin', '2026-10-25T00:29:00Z', 'closed until 2026-10-25T00:30'],
    ['30 2 * * * 30m Europe/Berlin', '2026-10-25T00:45:00Z', 'open until 2026-10-25T01:00'],
    ['30 2 * * * 30m Europe/Berlin', '2026-10-25T01:35:00Z', 'closed until 2026-10-26T01:30'],
    ['0 1 * * * 3h Europe/Berlin', '2026-10-25T01:30:00Z', 'open until 2026-10-25T02:00'],
    // Half an hour at Lord Howe, 4 October 2026 from 02:00 to 02:30; and a zone that is no whole hour away.
    ['15 2 * * * 1h Australia/Lord_Howe', '2026-10-03T10:00:00Z', 'closed until 2026-10-04T15:15'],
    ['0 0 * * * 1h Asia/Kathmandu', '2026-11-26T18:20:00Z', 'open until 2026-11-26T19:15'],
  ])('%s at %s: %s', (window, when, expected) => {
    expect(told(window, when)).toBe(expected);
  });
});

test.each([
  ['0 2 * * *', 'is no window, like "0 2 * * sun 2h Europe/Berlin"'],
  ['0 2 * * * 2', '"2" is no length of a window'],
  ['0 2 * * * 8d', '1m to 7d'],
  ['0 25 * * * 1h', '"25" is no hour'],
  ['0 2 * * * 2h Europe/Berlim', '"Europe/Berlim" is no time zone, did you mean Europe/Berlin?'],
  ['0 2 * * * 2h UTC more', 'is no window'],
])('"%s" is refused', (text, reason) => {
  expect(() => parseMaintenanceWindow(text)).toThrow(reason);
});
