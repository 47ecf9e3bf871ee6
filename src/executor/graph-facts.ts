import type { EventOf } from '../event/event.ts';
import type { UnitGraph } from '../graph/unit-graph.ts';

/** Units and edges as events tell them. */
export function graphFacts(graph: UnitGraph, names: readonly string[]): Pick<EventOf<'up.started'>, 'units' | 'edges'> {
  return {
    units: names.map((name) => {
      const { about, kind } = graph.unit(name);
      return { name, about, kind };
    }),
    edges: names.flatMap((from) => graph.needs(from).map(({ kind, unit: to }) => ({ from, to, kind }))),
  };
}
