/**
 * Times of a schedule as cron writes it: minute, hour, day of the month, month, day of the week, in
 * the time zone of this machine. Pure.
 *
 * Not here: seconds, `L`, `W`, `#`. Source: crontab(5); as there, a day fits when either day field
 * fits, if both say something.
 */

export interface CronSchedule {
  /** The first whole minute after `afterMs`, both since the Unix epoch; undefined when none comes (the 30th of February). */
  nextMs(afterMs: number): number | undefined;
}

interface Field {
  readonly name: string;
  readonly low: number;
  readonly high: number;
  readonly names?: readonly string[];
}

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const days = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const fields = [
  { name: 'minute', low: 0, high: 59 },
  { name: 'hour', low: 0, high: 23 },
  { name: 'day of the month', low: 1, high: 31 },
  { name: 'month', low: 1, high: 12, names: months },
  // 7 is Sunday too.
  { name: 'day of the week', low: 0, high: 7, names: days },
] as const satisfies readonly Field[];

const shortcuts: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
};

/** A schedule that has no time within so many years has none: the rarest is the 29th of February on one weekday. */
const horizonYears = 40;

/** @throws RangeError that says which field is wrong, and how */
export function parseCron(text: string): CronSchedule {
  const words = (shortcuts[text.trim().toLowerCase()] ?? text).trim().split(/\s+/);
  if (words.length !== fields.length) {
    throw new RangeError(
      `a schedule has ${String(fields.length)} fields, like "0 */12 * * *", and not ${String(words.length)}`,
    );
  }
  const [minutes, hours, monthDays, monthSet, weekDays] = fields.map((field, at) =>
    valuesOf(field, words[at] ?? ''),
  ) as [...[ReadonlySet<number>, ReadonlySet<number>, ReadonlySet<number>, ReadonlySet<number>, ReadonlySet<number>]];
  const isFree = (at: number) => words[at]?.startsWith('*') === true;
  const dayFits = (time: Date) => {
    const ofMonth = monthDays.has(time.getDate());
    const ofWeek = weekDays.has(time.getDay()) || (time.getDay() === 0 && weekDays.has(7));
    return isFree(2) || isFree(4) ? ofMonth && ofWeek : ofMonth || ofWeek;
  };
  return {
    nextMs(afterMs) {
      const time = new Date(afterMs);
      time.setSeconds(0, 0);
      time.setMinutes(time.getMinutes() + 1);
      const endYear = time.getFullYear() + horizonYears;
      while (time.getFullYear() < endYear) {
        if (!monthSet.has(time.getMonth() + 1)) startDay(time, time.getMonth() + 1, 1);
        else if (!dayFits(time)) startDay(time, time.getMonth(), time.getDate() + 1);
        // In milliseconds: where a clock goes back, the hour of the day comes twice.
        else if (!hours.has(time.getHours())) time.setTime(time.getTime() + (60 - time.getMinutes()) * 60_000);
        else if (!minutes.has(time.getMinutes())) time.setTime(time.getTime() + 60_000);
        else return time.getTime();
      }
      return undefined;
    },
  };
}

/** Goes on to midnight of a day of the same year; numbers beyond its months and their days go on too. */
function startDay(time: Date, month: number, day: number): void {
  time.setMonth(month, day);
  time.setHours(0, 0, 0, 0);
}

/** "*", "5", "1-5", "mon-fri", "* with a step", "1-30/2", and lists of them. */
function valuesOf(field: Field, word: string): ReadonlySet<number> {
  const values = new Set<number>();
  for (const part of word.split(',')) {
    const [, range = '', step] = /^([^/]+)(?:\/(\d{1,4}))?$/.exec(part) ?? [];
    const wrong = () =>
      new RangeError(`"${part}" is no ${field.name}: ${String(field.low)} to ${String(field.high)}, a range, or *`);
    const [from, to, ...rest] =
      range === '*' ? [field.low, field.high] : range.split('-').map((end) => valueOf(field, end));
    const by = Number(step ?? 1);
    // "5/15" begins at 5 and goes on to the end. Source: crontab(5) of cronie, and K3s's parser.
    const last = to ?? (step === undefined ? from : field.high);
    if (from === undefined || last === undefined || rest.length > 0 || from > last || by < 1) throw wrong();
    if (Number.isNaN(from) || Number.isNaN(last)) throw wrong();
    for (let value = from; value <= last; value += by) values.add(value);
  }
  return values;
}

/** NaN for what is none. */
function valueOf({ low, high, names = [] }: Field, text: string): number {
  const named = names.indexOf(text.toLowerCase());
  if (named >= 0) return named + low;
  const value = /^\d{1,2}$/.test(text) ? Number(text) : Number.NaN;
  return value >= low && value <= high ? value : Number.NaN;
}
