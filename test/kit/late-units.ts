/** The one rule of performance that a simulation can prove: a start without faults takes no longer than its critical path. */
import type { UnitGraph } from '../../src/graph/unit-graph.ts';
import { expectedReadyMs } from './critical-path.ts';
import type { SimulationCase } from './simulation-case.ts';

/** If nothing fails, every unit is ready as early as the graph allows. */
export function lateUnits(
  simulation: SimulationCase,
  graph: UnitGraph,
  firstReadyMs: ReadonlyMap<string, number>,
): readonly string[] {
  const { units, stopAtMs, restAtMs } = simulation;
  const isDisturbed = simulation.actions.length + simulation.reloads.length + simulation.kills.length > 0;
  if (stopAtMs !== null || restAtMs !== null || isDisturbed || units.some(({ faults }) => faults.length > 0)) return [];
  const expected = expectedReadyMs(graph, (name) => {
    const one = units[Number(name.slice(1))];
    return (one?.readyAfterMs ?? 0) + (one?.exitToldLateMs ?? 0);
  });
  return [...expected].flatMap(([name, expectedMs]) => {
    const readyMs = firstReadyMs.get(name) ?? Number.POSITIVE_INFINITY;
    return readyMs <= expectedMs + 1
      ? []
      : [`${name} was ready at ${String(readyMs)} ms, the critical path to it takes ${String(expectedMs)} ms`];
  });
}
