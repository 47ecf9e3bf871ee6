/** When each unit would start and be ready, if everything takes as long as it took before. */
import { waitedMs, waits } from './start-order.ts';
import type { UnitGraph } from './unit-graph.ts';

export interface Expected {
  /** Milliseconds after the beginning of the start. */
  readonly startMs: number;
  readonly readyMs: number;
}

/** @param durationsMs - milliseconds from a unit's start to ready; 0 for units not in it */
export function expectedTimes(
  graph: UnitGraph,
  names: readonly string[],
  durationsMs: ReadonlyMap<string, number>,
): ReadonlyMap<string, Expected> {
  const durationMs = (name: string) => durationsMs.get(name) ?? 0;
  const wanted = new Set(names);
  const times = new Map<string, Expected>();
  for (const name of graph.order) {
    if (!wanted.has(name)) continue;
    let startMs = 0;
    for (const need of graph.needs(name)) {
      if (waits(need)) {
        startMs = Math.max(startMs, (times.get(need.unit)?.startMs ?? 0) + waitedMs(need, durationMs(need.unit)));
      }
    }
    times.set(name, { startMs, readyMs: startMs + durationMs(name) });
  }
  return times;
}
