/**
 * Units to a valid graph: every edge leads somewhere, nothing waits for itself, no two units claim
 * the same port or path; then the order in which to start and stop. Pure and fast: it runs at
 * every start, before anything else may.
 */
import { Graph } from '@dagrejs/graphlib';
import { err, ok, type Result } from '../kernel/result.ts';
import { sortDiagnostics, type Diagnostic } from '../unit/diagnostic.ts';
import type { Need, Unit } from '../unit/schema.ts';
import { claimProblems } from './claims.ts';
import { cycleProblems, type NeedGraph } from './cycles.ts';
import { checkedNeeds } from './edges.ts';
import { ordersStop, startOrder, waits, type Dependents } from './start-order.ts';
import type { UnitGraph } from './unit-graph.ts';

/** What `loadUnits` gives, or units alone when none is disabled. */
export type GraphUnits =
  readonly Unit[] | { readonly units: readonly Unit[]; readonly disabled: ReadonlyMap<string, string> };

export interface BuildOptions {
  /** Milliseconds from a unit's own start to ready, from earlier starts; 1 for units not in it. */
  readonly durationsMs?: ReadonlyMap<string, number>;
}

export function buildGraph(input: GraphUnits, options: BuildOptions = {}): Result<UnitGraph, Diagnostic[]> {
  const { units, disabled } = 'units' in input ? input : { units: input, disabled: new Map<string, string>() };
  const problems: Diagnostic[] = [];
  const byName = new Map(units.map((unit) => [unit.name, unit]));

  const graph: NeedGraph = new Graph<object, Unit, Need>({ directed: true });
  for (const unit of byName.values()) graph.setNode(unit.name, unit);
  const needs = new Map<string, readonly Need[]>();
  for (const unit of byName.values()) {
    const kept = checkedNeeds(unit, byName, disabled, (problem) => problems.push(problem));
    needs.set(unit.name, kept);
    for (const need of kept) graph.setEdge(unit.name, need.unit, need);
  }
  problems.push(...claimProblems([...byName.values()]));
  const durationMs = (name: string) => options.durationsMs?.get(name) ?? 1;
  const { order, levels, tailMs, dependents } = startOrder(byName, needs, durationMs);
  // Soft edges without a wait order only the stop: a cycle through one leaves no unit out of the start order.
  if (order.length < byName.size || hasStopOnlyEdge(needs)) problems.push(...cycleProblems(graph));
  if (problems.length > 0) return err(sortDiagnostics(problems));
  return ok(new BuiltGraph({ byName, needs, order, levels, tailMs, dependents }));
}

const hasStopOnlyEdge = (needs: ReadonlyMap<string, readonly Need[]>) =>
  [...needs.values()].some((edges) => edges.some((need) => ordersStop(need) && !waits(need)));

interface Parts {
  readonly byName: ReadonlyMap<string, Unit>;
  readonly needs: ReadonlyMap<string, readonly Need[]>;
  readonly order: readonly string[];
  readonly levels: readonly (readonly string[])[];
  readonly tailMs: ReadonlyMap<string, number>;
  readonly dependents: Dependents;
}

class BuiltGraph implements UnitGraph {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get order() {
    return this.#parts.order;
  }

  get levels() {
    return this.#parts.levels;
  }

  unit(name: string): Unit {
    const unit = this.#parts.byName.get(name);
    if (unit === undefined) throw new Error(`internal error: no unit "${name}" in the graph`);
    return unit;
  }

  has(name: string): boolean {
    return this.#parts.byName.has(name);
  }

  needs(name: string): readonly Need[] {
    return this.#parts.needs.get(name) ?? [];
  }

  dependents(name: string) {
    return this.#parts.dependents.get(name) ?? [];
  }

  closure(names: Iterable<string>): readonly string[] {
    const reached = new Set<string>();
    const stack = [...names];
    for (let name = stack.pop(); name !== undefined; name = stack.pop()) {
      if (reached.has(name) || !this.has(name)) continue;
      reached.add(name);
      for (const need of this.needs(name)) stack.push(need.unit);
    }
    return this.order.filter((name) => reached.has(name));
  }

  stopsAfter(name: string): readonly string[] {
    return this.dependents(name)
      .filter(({ need }) => ordersStop(need))
      .map(({ unit }) => unit);
  }

  tailMs(name: string): number {
    return this.#parts.tailMs.get(name) ?? 0;
  }
}
