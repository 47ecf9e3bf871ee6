/**
 * Times of a schedule as cron writes it: minute, hour, day of the month, month, day of the week, in
 * the time zone of this machine or in UTC. Pure.
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

/**
 * @param calendar `utc` is for who keeps the time of another zone as if it were UTC
 * @throws RangeError that says which field is wrong, and how
 */
export function parseCron(text: string, calendar: keyof typeof calendars = 'local'): CronSchedule {
  const { get, startDay } = calendars[calendar];
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
    const ofMonth = monthDays.has(get.date(time));
    const ofWeek = weekDays.has(get.day(time)) || (get.day(time) === 0 && weekDays.has(7));
    return isFree(2) || isFree(4) ? ofMonth && ofWeek : ofMonth || ofWeek;
  };
  const nextMs = (afterMs: number) => {
    // Every zone is whole minutes from UTC.
    const time = new Date(afterMs - (afterMs % 60_000) + 60_000);
    const endYear = get.year(time) + horizonYears;
    while (get.year(time) < endYear) {
      if (!monthSet.has(get.month(time) + 1)) startDay(time, get.month(time) + 1, 1);
      else if (!dayFits(time)) startDay(time, get.month(time), get.date(time) + 1);
      // In milliseconds: where a clock goes back, the hour of the day comes twice.
      else if (!hours.has(get.hour(time))) time.setTime(time.getTime() + (60 - get.minute(time)) * 60_000);
      else if (!minutes.has(get.minute(time))) time.setTime(time.getTime() + 60_000);
      else return time.getTime();
    }
    return undefined;
  };
  return { nextMs };
}

type Get = (time: Date) => number;

interface Calendar {
  readonly get: Readonly<Record<'year' | 'month' | 'date' | 'day' | 'hour' | 'minute', Get>>;
  /** Goes on to midnight of a day of the same year; numbers beyond its months and their days go on too. */
  startDay(time: Date, month: number, day: number): void;
}

const local: Calendar = {
  get: {
    year: (time) => time.getFullYear(),
    month: (time) => time.getMonth(),
    date: (time) => time.getDate(),
    day: (time) => time.getDay(),
    hour: (time) => time.getHours(),
    minute: (time) => time.getMinutes(),
  },
  startDay(time, month, day) {
    time.setMonth(month, day);
    time.setHours(0, 0, 0, 0);
  },
};

const utc: Calendar = {
  get: {
    year: (time) => time.getUTCFullYear(),
    month: (time) => time.getUTCMonth(),
    date: (time) => time.getUTCDate(),
    day: (time) => time.getUTCDay(),
    hour: (time) => time.getUTCHours(),
    minute: (time) => time.getUTCMinutes(),
  },
  startDay(time, month, day) {
    time.setUTCMonth(month, day);
    time.setUTCHours(0, 0, 0, 0);
  },
};

const calendars = { local, utc };

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
