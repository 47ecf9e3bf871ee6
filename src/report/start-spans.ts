/** The stages of each unit in the record of a start, for pictures and traces of it. Pure. */
import type { RecordedUnit, StartRecord } from './start-record.ts';

/** `failing`: it was started and was not ready when the record ended. */
export type SpanStage = 'waiting' | 'spawn' | 'until ready' | 'ready' | 'failing';

/** Milliseconds from the start of the record. */
export interface Span {
  readonly stage: SpanStage;
  readonly fromMs: number;
  readonly toMs: number;
}

/** In order of time, without gaps; stages that took no time are left out. */
export function spansOf(unit: RecordedUnit, { totalMs }: StartRecord): readonly Span[] {
  const { gatesOpenAtMs = 0, spawnedAtMs, readyAtMs } = unit;
  const opened = isStarted(unit) ? gatesOpenAtMs : totalMs;
  const spawned = Math.max(opened, spawnedAtMs ?? opened);
  const ready = readyAtMs ?? totalMs;
  const spans: readonly Span[] = [
    { stage: 'waiting', fromMs: 0, toMs: opened },
    { stage: 'spawn', fromMs: opened, toMs: spawned },
    { stage: readyAtMs === undefined ? 'failing' : 'until ready', fromMs: spawned, toMs: ready },
    { stage: 'ready', fromMs: ready, toMs: totalMs },
  ];
  return spans.filter(({ fromMs, toMs }) => toMs > fromMs);
}

/** The time of the last gate is provisional as long as a unit waits. */
function isStarted({ state, spawnedAtMs, readyAtMs }: RecordedUnit): boolean {
  if (spawnedAtMs !== undefined || readyAtMs !== undefined) return true;
  return state !== 'inactive' && state !== 'waiting' && state !== 'blocked';
}
