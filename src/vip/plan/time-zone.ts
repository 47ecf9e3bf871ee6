/**
 * What the clocks of a time zone show, from Node.js's own data of zones. What they show is kept as if
 * it were UTC, in milliseconds: 02:30 on a wall in Berlin is 02:30 of `Date.UTC`. Pure.
 */
import { nearestName } from '../../kernel/nearest.ts';

export interface TimeZone {
  shownAt(wallMs: number): number;
  /** When they show it for the first time; undefined: they never do, as they are put forward over it. */
  firstTimeOf(shownMs: number): number | undefined;
}

const dayMs = 24 * 3_600_000;

/** @throws RangeError that names the nearest zone */
export function timeZone(name: string): TimeZone {
  const format = formatOf(name);
  const shownAt = (wallMs: number): number => {
    const parts = new Map(format.formatToParts(wallMs).map(({ type, value }) => [type, Number(value)]));
    const part = (type: Intl.DateTimeFormatPartTypes) => parts.get(type) ?? 0;
    const minute = Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'));
    return minute + part('second') * 1000 + (((wallMs % 1000) + 1000) % 1000);
  };
  return {
    shownAt,
    firstTimeOf(shownMs) {
      // Clocks are changed at most once within two days: one of the two differences to UTC is the one of then.
      const candidates = [shownMs - dayMs, shownMs + dayMs].map((nearMs) => shownMs - (shownAt(nearMs) - nearMs));
      const times = candidates.filter((atMs) => shownAt(atMs) === shownMs);
      return times.length === 0 ? undefined : Math.min(...times);
    },
  };
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  try {
    return new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  } catch {
    const near = nearestName(timeZone, Intl.supportedValuesOf('timeZone'));
    throw new RangeError(
      `"${timeZone}" is no time zone${near === undefined ? ', like Europe/Berlin' : `, did you mean ${near}?`}`,
    );
  }
}
