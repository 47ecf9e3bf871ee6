/** When each unit should be ready if nothing fails: the longest way through the graph, and nothing more. */
import type { UnitGraph } from '../../src/graph/unit-graph.ts';

/** Longest delay between two questions of a check that nothing wakes. Source: design.md, Probes. */
const pollCapMs = 250;

/** @param selfMs - how long a unit takes from its launch to being ready, in ms */
export function expectedReadyMs(graph: UnitGraph, selfMs: (unit: string) => number): ReadonlyMap<string, number> {
  const startMs = new Map<string, number>();
  const readyMs = new Map<string, number>();
  for (const name of graph.order) {
    let start = 0;
    for (const need of graph.needs(name)) {
      const ready = readyMs.get(need.unit) ?? 0;
      if (need.kind === 'soft') start = Math.max(start, Math.min(ready, need.maxWaitMs));
      if (need.kind !== 'hard') continue;
      const hasProcess = graph.unit(need.unit).kind !== 'builtin';
      start = Math.max(start, need.until === 'started' && hasProcess ? (startMs.get(need.unit) ?? 0) : ready);
    }
    const { kind, ready } = graph.unit(name);
    const isPolled = ready !== undefined && ready.notify === undefined;
    const own = kind === 'service' && ready === undefined ? 0 : selfMs(name);
    startMs.set(name, start);
    readyMs.set(name, start + own + (isPolled ? pollCapMs : 0));
  }
  return readyMs;
}
