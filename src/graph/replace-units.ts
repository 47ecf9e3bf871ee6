import type { Unit } from '../unit/schema.ts';
import type { UnitGraph } from './unit-graph.ts';

/** The same graph with other definitions of some units; its edges stay as they are. */
export function replaceUnits(graph: UnitGraph, units: ReadonlyMap<string, Unit>): UnitGraph {
  return {
    order: graph.order,
    levels: graph.levels,
    unit: (name) => units.get(name) ?? graph.unit(name),
    has: (name) => graph.has(name),
    needs: (name) => graph.needs(name),
    dependents: (name) => graph.dependents(name),
    closure: (names) => graph.closure(names),
    stopsAfter: (name) => graph.stopsAfter(name),
    tailMs: (name) => graph.tailMs(name),
  };
}
