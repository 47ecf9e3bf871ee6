/**
 * Cycles among the edges that wait (hard and soft), each with its whole path. graphlib finds the
 * strongly connected components; the shortest cycle through a member is searched here, because
 * the members alone do not tell anybody which edge to take away.
 */
import { alg, Graph } from '@dagrejs/graphlib';
import { diagnosticAt, type Diagnostic } from '../unit/diagnostic.ts';
import type { Need, Unit } from '../unit/schema.ts';
import { placeOfEdgeTo } from './edges.ts';
import { ordersStop } from './start-order.ts';

/** Units, and the edges of dependents to their dependencies, as graphlib keeps them. */
export type NeedGraph = Graph<object, Unit, Need>;

/** Distinct cycles that are reported; behind them more may hide. */
const maxCycles = 10;

/** Cycles as lists of names, each beginning with its smallest name: the shortest through each unit of a component. */
export function findCycles(graph: NeedGraph): string[][] {
  const waiting = new Graph<object, object, object>({ directed: true });
  for (const name of graph.nodes()) waiting.setNode(name, {});
  for (const { v, w } of graph.edges()) if (ordersStop(graph.edge(v, w))) waiting.setEdge(v, w, {});

  const cycles = new Map<string, string[]>();
  for (const component of alg.findCycles(waiting)) {
    const members = new Set(component);
    for (const start of [...members].sort()) {
      if (cycles.size >= maxCycles) break;
      const cycle = shortestCycle(waiting, start, members);
      if (cycle !== undefined) cycles.set(cycle.join(' '), cycle);
    }
  }
  return [...cycles.values()].sort((a, b) => a.length - b.length || (a.join(' ') < b.join(' ') ? -1 : 1));
}

function shortestCycle(graph: Graph<object, object, object>, start: string, members: ReadonlySet<string>) {
  const cameFrom = new Map<string, string>();
  const queue = [start];
  for (let at = 0; at < queue.length; at += 1) {
    const name = queue[at] ?? start;
    for (const next of [...(graph.successors(name) ?? [])].sort()) {
      if (next === start) return smallestFirst(pathTo(name, start, cameFrom));
      if (!members.has(next) || cameFrom.has(next)) continue;
      cameFrom.set(next, name);
      queue.push(next);
    }
  }
  return undefined;
}

function pathTo(end: string, start: string, cameFrom: ReadonlyMap<string, string>): string[] {
  const path = [end];
  for (let name = end; name !== start;) {
    name = cameFrom.get(name) ?? start;
    path.unshift(name);
  }
  return path;
}

function smallestFirst(cycle: readonly string[]): string[] {
  const first = cycle.indexOf([...cycle].sort()[0] ?? '');
  return [...cycle.slice(first), ...cycle.slice(0, first)];
}

export function cycleProblems(graph: NeedGraph): Diagnostic[] {
  return findCycles(graph).map((cycle) => {
    const edges = cycle.map((name, index) => {
      const target = cycle[(index + 1) % cycle.length] ?? name;
      const { kind } = graph.edge(name, target);
      return { message: `${name} needs ${target} (${kind})`, place: placeOfEdgeTo(graph.node(name), target) };
    });
    const { file, line, column } = edges[0]?.place ?? { file: cycle[0] ?? '', line: 0, column: 0 };
    const message =
      cycle.length === 1
        ? `${cycle[0] ?? ''} waits for itself`
        : `units wait for each other: ${[...cycle, cycle[0] ?? ''].join(' → ')}`;
    // Without its source line: the first edge shows it.
    return diagnosticAt(
      { file, line, column },
      {
        code: 'cycle',
        message,
        related: edges,
        hint: 'take one of these edges away, or make it parallel: a parallel edge does not wait',
      },
    );
  });
}
