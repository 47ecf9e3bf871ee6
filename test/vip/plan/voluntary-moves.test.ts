import { describe, expect, test } from 'vitest';
import { parseMaintenanceWindows, voluntaryMoves } from '../../../src/vip/plan/voluntary-moves.ts';

const at = (text: string) => Date.parse(`${text}:00Z`);

function told(windows: readonly string[], when: string, rebalanceUntil?: string): string {
  const until = rebalanceUntil === undefined ? undefined : at(rebalanceUntil);
  const { isOpen, changesAtMs } = voluntaryMoves(parseMaintenanceWindows(windows), until, at(when));
  const change = changesAtMs === undefined ? 'never' : new Date(changesAtMs).toISOString().slice(0, 16);
  return `${isOpen ? 'open' : 'closed'} until ${change}`;
}

const nights = '0 2 * * * 1h';
const later = '30 2 * * * 1h';
const noons = '0 12 * * * 30m';

describe('addresses may be moved without need', () => {
  test.each([
    ['at any time without a window', [], '2026-11-26T08:00', undefined, 'open until never'],
    ['not outside of one', [nights], '2026-11-26T08:00', undefined, 'closed until 2026-11-27T02:00'],
    ['in one', [nights], '2026-11-26T02:10', undefined, 'open until 2026-11-26T03:00'],
    ['in the next of several', [nights, noons], '2026-11-26T08:00', undefined, 'closed until 2026-11-26T12:00'],
    ['in any of several', [nights, noons], '2026-11-26T12:10', undefined, 'open until 2026-11-26T12:30'],
    ['in two that overlap, as in one', [nights, later], '2026-11-26T02:10', undefined, 'open until 2026-11-26T03:30'],
    ['when an operator asked for it', [nights], '2026-11-26T08:00', '2026-11-26T08:10', 'open until 2026-11-26T08:10'],
    ['not when that is over', [nights], '2026-11-26T08:10', '2026-11-26T08:10', 'closed until 2026-11-27T02:00'],
    ['for what is longer', [nights], '2026-11-26T02:55', '2026-11-26T03:05', 'open until 2026-11-26T03:05'],
  ] as const)('%s', (_what, windows, when, until, expected) => {
    expect(told(windows, when, until)).toBe(expected);
  });

  test('a window that is none is refused', () => {
    expect(() => parseMaintenanceWindows([nights, 'sunday'])).toThrow('"sunday" is no window');
  });
});
