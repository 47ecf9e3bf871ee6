/**
 * When voluntary moves may be made: a schedule as cron writes it, how long a window is open, and in
 * which time zone the schedule is meant. Pure: the time is handed in.
 *
 * A window is as long as it says on the clock that measures time, whatever the clocks on the walls do
 * meanwhile. A time that does not exist on a day (02:30 when clocks go forward) is passed over on it,
 * one that comes twice opens the window at the first.
 */
import { parseCron } from '../../kernel/cron.ts';
import { parseDurationMs } from '../../kernel/duration.ts';
import { timeZone } from './time-zone.ts';

export interface WindowState {
  readonly isOpen: boolean;
  /** By the wall clock. Undefined: never. */
  readonly changesAtMs: number | undefined;
}

export interface MaintenanceWindow {
  at(wallMs: number): WindowState;
}

/** Written as "SCHEDULE DURATION ZONE": "0 2 * * sun 2h Europe/Berlin"; without a zone it is UTC. */
const form = '"0 2 * * sun 2h Europe/Berlin": five fields of cron, a duration, and perhaps a time zone';
const longestMs = 7 * 24 * 3_600_000;

/** @throws RangeError that says what is wrong with it */
export function parseMaintenanceWindow(text: string): MaintenanceWindow {
  const words = text.trim().split(/\s+/);
  const fields = words[0]?.startsWith('@') === true ? 1 : 5;
  const [duration, zone = 'UTC', ...rest] = words.slice(fields);
  if (duration === undefined || rest.length > 0) throw new RangeError(`"${text}" is no window, like ${form}`);
  const durationMs = parseDurationMs(duration);
  if (durationMs === undefined || durationMs < 60_000 || durationMs > longestMs) {
    throw new RangeError(`"${duration}" is no length of a window: 1m to 7d, as in ${form}`);
  }
  const cron = words.slice(0, fields).join(' ');
  return windowOf(openings(cron, zone), durationMs);
}

function windowOf(nextOpeningMs: (afterMs: number) => number | undefined, durationMs: number): MaintenanceWindow {
  return {
    at(wallMs) {
      // The last opening that still has to do with now; openings within a window prolong it.
      let closesAtMs: number | undefined;
      let opensAtMs = nextOpeningMs(wallMs - durationMs);
      while (opensAtMs !== undefined && opensAtMs <= (closesAtMs ?? wallMs)) {
        closesAtMs = opensAtMs + durationMs;
        // One that is always open again before it closes has no end that anybody has to know.
        if (closesAtMs > wallMs + longestMs) break;
        opensAtMs = nextOpeningMs(opensAtMs);
      }
      return closesAtMs === undefined
        ? { isOpen: false, changesAtMs: opensAtMs }
        : { isOpen: true, changesAtMs: closesAtMs };
    },
  };
}

/** The times at which a schedule opens, each once. */
function openings(cron: string, zoneName: string): (afterMs: number) => number | undefined {
  const schedule = parseCron(cron, 'utc');
  const zone = timeZone(zoneName);
  return (afterMs) => {
    let shown: number | undefined = zone.shownAt(afterMs);
    for (;;) {
      shown = schedule.nextMs(shown);
      if (shown === undefined) return undefined;
      const atMs = zone.firstTimeOf(shown);
      if (atMs !== undefined && atMs > afterMs) return atMs;
    }
  };
}
