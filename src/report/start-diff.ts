/**
 * What became slower since earlier starts, by the time each unit took itself: waiting for something
 * that became slower is not its fault. Pure.
 *
 * Against several starts it is the median, and a difference counts only if it is out of their usual
 * scatter (three standard deviations, estimated from the median absolute deviation, which one slow
 * start in between does not spoil).
 */
import { isUp } from '../unit/state.ts';
import type { RecordedUnit, StartRecord } from './start-record.ts';

export interface UnitDifference {
  readonly unit: string;
  /** Median of its own time before; undefined: it was not there, or never ready. */
  readonly beforeMs?: number;
  /** Its own time in this start; undefined: it is not there any more, or was not ready. */
  readonly nowMs?: number;
  readonly differenceMs?: number;
  readonly verdict: 'slower' | 'faster' | 'not ready' | 'new' | 'gone' | 'same';
}

export interface StartDiff {
  /** How many earlier starts it is compared with. */
  readonly against: number;
  readonly beforeMs: number;
  readonly nowMs: number;
  /** Significant differences first, the largest before the others. */
  readonly units: readonly UnitDifference[];
}

/** Less is noise of the machine, in milliseconds and as a share. */
const leastMs = 20;
const leastShare = 0.1;
/** Standard deviation of a normal distribution by its median absolute deviation. */
const deviationPerMad = 1.4826;
const deviations = 3;

/** @param earlier - at least one */
export function diffStarts(record: StartRecord, earlier: readonly StartRecord[]): StartDiff {
  const now = new Map(record.units.map((unit) => [unit.name, unit]));
  const names = new Set([...now.keys(), ...earlier.flatMap(({ units }) => units.map(({ name }) => name))]);
  const units = [...names].map((name) =>
    compare(
      name,
      now.get(name),
      earlier.flatMap((each) => each.units.filter((unit) => unit.name === name)),
    ),
  );
  const sizeMs = ({ differenceMs = 0 }: UnitDifference) => Math.abs(differenceMs);
  return {
    against: earlier.length,
    beforeMs: median(earlier.map(({ totalMs }) => totalMs)),
    nowMs: record.totalMs,
    units: units.toSorted((a, b) => rank(a) - rank(b) || sizeMs(b) - sizeMs(a)),
  };
}

function compare(unit: string, now: RecordedUnit | undefined, before: readonly RecordedUnit[]): UnitDifference {
  const times = before.flatMap(({ selfMs }) => (selfMs === undefined ? [] : [selfMs]));
  const nowMs = now?.selfMs;
  const beforeMs = times.length === 0 ? undefined : median(times);
  const known = {
    unit,
    ...(beforeMs === undefined ? {} : { beforeMs }),
    ...(nowMs === undefined ? {} : { nowMs }),
  };
  if (now === undefined) return { ...known, verdict: 'gone' };
  if (nowMs === undefined || !isUp(now.state)) return { ...known, verdict: 'not ready' };
  if (beforeMs === undefined) return { ...known, verdict: 'new' };
  const differenceMs = nowMs - beforeMs;
  const noiseMs = deviations * deviationPerMad * median(times.map((each) => Math.abs(each - beforeMs)));
  const isSignificant = Math.abs(differenceMs) > Math.max(leastMs, leastShare * beforeMs, noiseMs);
  return { ...known, differenceMs, verdict: !isSignificant ? 'same' : differenceMs > 0 ? 'slower' : 'faster' };
}

const order: readonly UnitDifference['verdict'][] = ['not ready', 'slower', 'new', 'faster', 'gone', 'same'];
const rank = ({ verdict }: UnitDifference) => order.indexOf(verdict);

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low = 0, high = low] = sorted.length % 2 === 0 ? sorted.slice(middle - 1, middle + 1) : [sorted[middle]];
  return (low + high) / 2;
}
