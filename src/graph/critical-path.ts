/** The chain of units that decides how long a start takes: expected, and as it was. */
import type { Moment, UnitStateName } from '../unit/state.ts';
import { waitedMs, waits } from './start-order.ts';
import type { UnitGraph } from './unit-graph.ts';

/** What a picture shows of a running unit; a `UnitSnapshot` is one. */
export interface LiveUnit {
  readonly unit: string;
  readonly state: UnitStateName;
  readonly startedAt?: Moment | undefined;
  readonly readyAt?: Moment | undefined;
  readonly degraded: readonly { readonly unit: string; readonly reason: string }[];
}

/**
 * From the first unit to the last by the expected durations.
 *
 * @param durationsMs - what `buildGraph` was given: milliseconds from start to ready, 1 for units not in it
 */
export function expectedCriticalPath(graph: UnitGraph, durationsMs?: ReadonlyMap<string, number>): string[] {
  let next = (graph.levels[0] ?? []).reduce<string | undefined>(
    (best, name) => (best === undefined || graph.tailMs(name) > graph.tailMs(best) ? name : best),
    undefined,
  );
  const path: string[] = [];
  while (next !== undefined) {
    path.push(next);
    const ownMs = durationsMs?.get(next) ?? 1;
    // The path ends at a unit that takes longer by itself than everything behind it.
    let longestMs = ownMs;
    let follower: string | undefined;
    for (const { unit, need } of graph.dependents(next)) {
      const thenMs = waitedMs(need, ownMs) + graph.tailMs(unit);
      if (!waits(need) || thenMs < longestMs || (thenMs === longestMs && follower !== undefined)) continue;
      longestMs = thenMs;
      follower = unit;
    }
    next = follower;
  }
  return path;
}

/** From the unit that was ready last back over the gates that opened last; empty while nothing is ready. */
export function liveCriticalPath(graph: UnitGraph, live: readonly LiveUnit[]): string[] {
  const byName = new Map(live.map((unit) => [unit.unit, unit]));
  const readyMs = (name: string) => byName.get(name)?.readyAt?.monotonicMs;
  const latest = (candidates: readonly (readonly [string, number | undefined])[]) => {
    let best: readonly [string, number] | undefined;
    for (const [name, atMs] of candidates) {
      if (atMs !== undefined && (best === undefined || atMs > best[1])) best = [name, atMs];
    }
    return best?.[0];
  };
  const path: string[] = [];
  let next = latest(graph.order.map((name) => [name, readyMs(name)]));
  while (next !== undefined) {
    path.unshift(next);
    next = latest(
      graph
        .needs(next)
        .filter(waits)
        .map((need) => [
          need.unit,
          need.kind === 'hard' && need.until === 'started'
            ? byName.get(need.unit)?.startedAt?.monotonicMs
            : readyMs(need.unit),
        ]),
    );
  }
  return path;
}
