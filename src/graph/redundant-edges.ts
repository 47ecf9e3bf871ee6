/** Edges that say nothing new: worth a remark in `check`, and no reason to refuse a start. */
import { diagnosticAt, type Diagnostic } from '../unit/diagnostic.ts';
import { placeOfEdgeTo } from './edges.ts';
import { waits } from './start-order.ts';
import type { UnitGraph } from './unit-graph.ts';

/**
 * Edges to a unit that another edge waits for anyway: `a` needs `b` and `c`, and `b` needs `c`.
 * Only plain hard edges are told: any other says how long to wait, or what to do on a loss.
 */
export function redundantEdges(graph: UnitGraph): Diagnostic[] {
  const behind = new Map<string, ReadonlySet<string>>();
  for (const name of graph.order) {
    const reached = new Set<string>();
    for (const need of graph.needs(name)) {
      if (!isPlainHard(need)) continue;
      reached.add(need.unit);
      for (const further of behind.get(need.unit) ?? []) reached.add(further);
    }
    behind.set(name, reached);
  }
  return graph.order.flatMap((name) => {
    const hard = graph.needs(name).filter(isPlainHard);
    return hard.flatMap((need): Diagnostic[] => {
      const via = hard.find((other) => other !== need && behind.get(other.unit)?.has(need.unit) === true);
      if (via === undefined) return [];
      const unit = graph.unit(name);
      const message = `${name} waits for "${need.unit}" already through "${via.unit}"`;
      return [
        diagnosticAt(placeOfEdgeTo(unit, need.unit), {
          severity: 'warning',
          code: 'redundant-edge',
          message,
          hint: 'this edge can go, unless it is there to be seen',
        }),
      ];
    });
  });
}

const isPlainHard = (need: ReturnType<UnitGraph['needs']>[number]) =>
  waits(need) && need.kind === 'hard' && need.until === 'ready' && need.onLoss === 'keep';
