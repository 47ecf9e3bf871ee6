/**
 * The record of one start: where its time went, unit by unit. Folded from events, kept as JSON.
 *
 * Self time (last gate opened → ready) is kept apart from waiting (wanted → last gate opened): only
 * the first can be made shorter by mending that unit. Pure; start-store.ts reads and writes files.
 */
import * as z from 'zod';
import { lazily } from '../kernel/lazily.ts';
import { isUp, unitStates } from '../unit/state.ts';
import { selfMs, type Model } from './model.ts';

/** All times in milliseconds; those named `…AtMs` count from the start of the record. */
const recordedUnit = lazily(() =>
  z.object({
    name: z.string(),
    kind: z.enum(['service', 'task', 'builtin']),
    /** At the end of the record. */
    state: z.enum(unitStates),
    gatesOpenAtMs: z.number().optional(),
    spawnedAtMs: z.number().optional(),
    readyAtMs: z.number().optional(),
    /** From the last gate to ready. */
    selfMs: z.number().optional(),
    /** From wanted to the last gate. */
    waitingMs: z.number().optional(),
    /** Attempts of the readiness check of the last generation. */
    attempts: z.number(),
    restarts: z.number(),
    /** The dependency whose readiness opened the last gate. */
    openedBy: z.string().optional(),
    /** Why it was not ready. */
    error: z.string().optional(),
  }),
);
export type RecordedUnit = z.infer<ReturnType<typeof recordedUnit>>;

/** Made at its first use: the first start of a data directory reads no record. */
export const startRecordSchema = lazily(() =>
  z.object({
    version: z.literal(1),
    /** Milliseconds since the Unix epoch. */
    startedAtMs: z.number(),
    /** False: it was stopped before everything was ready. */
    ready: z.boolean(),
    /** From the start until everything was ready, or until it was given up. */
    totalMs: z.number(),
    units: z.array(recordedUnit()),
  }),
);
export type StartRecord = z.infer<ReturnType<typeof startRecordSchema>>;

/**
 * The record of the start that `model` shows.
 *
 * @param endMs - monotonic milliseconds when everything was ready or the start was given up
 */
export function startRecordOf(model: Model, endMs: number): StartRecord {
  const startedAt = model.startedAt ?? { wallMs: 0, monotonicMs: endMs };
  const at = (monotonicMs: number) => Math.max(0, round(monotonicMs - startedAt.monotonicMs));
  const units = [...model.units.values()].map((view): RecordedUnit => {
    const { name, kind, state, gatesOpenAt, spawnedAt, readyAt, attempts, restarts, openedBy, error } = view;
    const ownMs = selfMs(view);
    return {
      name,
      kind,
      state,
      attempts,
      restarts,
      ...(gatesOpenAt === undefined
        ? {}
        : { gatesOpenAtMs: at(gatesOpenAt.monotonicMs), waitingMs: at(gatesOpenAt.monotonicMs) }),
      ...(spawnedAt === undefined ? {} : { spawnedAtMs: at(spawnedAt.monotonicMs) }),
      ...(readyAt === undefined ? {} : { readyAtMs: at(readyAt.monotonicMs) }),
      ...(ownMs === undefined ? {} : { selfMs: round(ownMs) }),
      ...(openedBy === undefined ? {} : { openedBy }),
      ...(error === undefined || isUp(state) ? {} : { error: error.message }),
    };
  });
  const ready = units.length > 0 && units.every(({ state }) => isUp(state));
  return { version: 1, startedAtMs: startedAt.wallMs, ready, totalMs: at(endMs), units };
}

/** Microseconds are enough, and keep the file readable. */
const round = (ms: number) => Math.round(ms * 1000) / 1000;

export interface ChainLink {
  readonly unit: string;
  /** From its last gate until the next one's opened: its self time, or less where it overlaps. */
  readonly selfMs: number;
  readonly gatesOpenAtMs: number;
  readonly readyAtMs: number;
  /** It became ready beside the next one, which needed it `until: started`, or that it had been ready once. */
  readonly overlaps: boolean;
}

/**
 * The units that decided how long the start took, first to last: from the one that was ready last,
 * back along the dependencies that opened each last gate. The sum of their times is the total less
 * what the supervisor itself took.
 *
 * @param last - another unit to go back from; one that is not ready ends with the record
 */
export function criticalChain(record: StartRecord, last?: string): readonly ChainLink[] {
  const byName = new Map(record.units.map((unit) => [unit.name, unit]));
  const chain: ChainLink[] = [];
  let next = last === undefined ? lastReady(record.units) : byName.get(last);
  while (next !== undefined && !chain.some(({ unit }) => unit === next?.name)) {
    const { name, gatesOpenAtMs = 0, readyAtMs = record.totalMs, openedBy } = next;
    const { selfMs: wholeMs = Math.max(0, round(readyAtMs - gatesOpenAtMs)) } = next;
    const awaitedMs = (chain[0]?.gatesOpenAtMs ?? Number.POSITIVE_INFINITY) - gatesOpenAtMs;
    const overlaps = awaitedMs < wholeMs;
    const ownMs = overlaps ? Math.max(0, round(awaitedMs)) : wholeMs;
    chain.unshift({ unit: name, selfMs: ownMs, gatesOpenAtMs, readyAtMs, overlaps });
    next = openedBy === undefined ? undefined : byName.get(openedBy);
  }
  return chain;
}

function lastReady(units: readonly RecordedUnit[]): RecordedUnit | undefined {
  let last: RecordedUnit | undefined;
  for (const unit of units) {
    if (unit.readyAtMs !== undefined && unit.readyAtMs >= (last?.readyAtMs ?? 0)) last = unit;
  }
  return last;
}

export interface Blame {
  readonly unit: string;
  /** Undefined: it was not ready. */
  readonly selfMs?: number;
  readonly waitingMs?: number;
  readonly attempts: number;
  readonly restarts: number;
  readonly error?: string;
}

/** All units by self time, longest first; those that were never ready come before them. */
export function blame(record: StartRecord): readonly Blame[] {
  const own = ({ selfMs: ms }: RecordedUnit) => ms ?? Number.POSITIVE_INFINITY;
  return record.units
    .toSorted((a, b) => (own(a) === own(b) ? 0 : own(b) - own(a)))
    .map(({ name, selfMs: ms, waitingMs, attempts, restarts, error }) => ({
      unit: name,
      attempts,
      restarts,
      ...(ms === undefined ? {} : { selfMs: ms }),
      ...(waitingMs === undefined ? {} : { waitingMs }),
      ...(error === undefined ? {} : { error }),
    }));
}

/** Self time of each unit that was ready: the graph's start priority for the next start. */
export function durationsMs(record: StartRecord): ReadonlyMap<string, number> {
  return new Map(record.units.flatMap(({ name, selfMs: ms }) => (ms === undefined ? [] : [[name, ms] as const])));
}
