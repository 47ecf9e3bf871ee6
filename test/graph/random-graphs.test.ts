import { instance } from '@viz-js/viz';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { buildGraph } from '../../src/graph/build-graph.ts';
import { toDot } from '../../src/graph/to-dot.ts';
import { toJson } from '../../src/graph/to-json.ts';
import { toText } from '../../src/graph/to-text.ts';
import type { Unit } from '../../src/unit/schema.ts';
import { graphOf, unitOf } from './graph-fixture.ts';

const numRuns = Number(process.env['FAST_CHECK_RUNS'] ?? 500);
const size = 14;
const name = (index: number) => `u${String(index)}`;

/** Edges as [from, to, kind]; each pair at most once. */
const edges = fc.uniqueArray(
  fc.tuple(fc.nat(size - 1), fc.nat(size - 1), fc.constantFrom('hard', 'soft', 'parallel')),
  { maxLength: 40, selector: ([from, to]) => `${String(from)} ${String(to)}` },
);
type Edges = readonly (readonly [number, number, string])[];

const unitsFrom = (all: Edges): Unit[] =>
  Array.from({ length: size }, (_, index) =>
    unitOf(
      name(index),
      all.filter(([from]) => from === index).map(([, to, kind]) => `${kind} ${name(to)}`),
    ),
  );

/** Without a cycle among the edges that wait: those lead to lower numbers. */
const acyclic = edges.map((all): Edges => {
  const kept = new Map<string, Edges[number]>();
  for (const [from, to, kind] of all) {
    if (kind !== 'parallel' && from === to) continue;
    const edge =
      kind === 'parallel' ? ([from, to, kind] as const) : ([Math.max(from, to), Math.min(from, to), kind] as const);
    kept.set(`${String(edge[0])} ${String(edge[1])}`, edge);
  }
  return [...kept.values()];
});

function reachable(all: Edges, from: readonly number[]): Set<string> {
  const reached = new Set(from);
  for (let before = -1; before !== reached.size;) {
    before = reached.size;
    for (const [source, target] of all) if (reached.has(source)) reached.add(target);
  }
  return new Set([...reached].map(name));
}

test('[S7] in any graph every unit stands after what it waits for, in the order and in the levels', () => {
  fc.assert(
    fc.property(acyclic, (all) => {
      const graph = graphOf(unitsFrom(all));
      expect([...graph.order].sort()).toEqual(Array.from({ length: size }, (_, index) => name(index)).sort());
      const level = new Map(graph.levels.flatMap((names, index) => names.map((each) => [each, index] as const)));
      for (const [from, to, kind] of all) {
        if (kind === 'parallel') continue;
        expect(graph.order.indexOf(name(from))).toBeGreaterThan(graph.order.indexOf(name(to)));
        expect(level.get(name(from)) ?? 0).toBeGreaterThan(level.get(name(to)) ?? 0);
        expect(graph.stopsAfter(name(to))).toContain(name(from));
        expect(graph.tailMs(name(to))).toBeGreaterThan(graph.tailMs(name(from)));
      }
    }),
    { numRuns },
  );
});

test('in any graph the closure is what can be reached, and no more', () => {
  fc.assert(
    fc.property(acyclic, fc.array(fc.nat(size - 1)), (all, wanted) => {
      expect(new Set(graphOf(unitsFrom(all)).closure(wanted.map(name)))).toEqual(reachable(all, wanted));
    }),
    { numRuns },
  );
});

test('a graph is refused if and only if it has a cycle that waits, and every cycle told is one', () => {
  let refused = 0;
  fc.assert(
    fc.property(edges, (all) => {
      const waiting = all.filter(([, , kind]) => kind !== 'parallel');
      const onCycle = (index: number) =>
        waiting.some(([from, to]) => from === index && reachable(waiting, [to]).has(name(index)));
      const result = buildGraph(unitsFrom(all));
      expect(result.ok).toBe(!Array.from({ length: size }, (_, index) => index).some(onCycle));
      if (result.ok) return;
      refused += 1;
      for (const { related = [] } of result.error) {
        const steps = related.map(
          ({ message }) => /^(u\d+) needs (u\d+) \((hard|soft)\)$/.exec(message)?.slice(1) ?? [],
        );
        steps.forEach(([from, to, kind], index) => {
          expect(waiting.map((edge) => [name(edge[0]), name(edge[1]), edge[2]])).toContainEqual([from, to, kind]);
          expect(steps[(index + 1) % steps.length]?.[0]).toBe(to);
        });
        expect(new Set(steps.map(([from]) => from)).size).toBe(steps.length);
      }
    }),
    { numRuns },
  );
  expect(refused).toBeGreaterThan(numRuns / 10);
});

test('[C7] every picture is the same whatever order the units come in', () => {
  fc.assert(
    fc.property(acyclic, fc.infiniteStream(fc.nat()), (all, random) => {
      const units = unitsFrom(all);
      const shuffled = units
        .map((unit) => ({ unit: { ...unit, needs: unit.needs }, at: random.next().value as number }))
        .sort((a, b) => a.at - b.at)
        .map(({ unit }) => unit);
      for (const draw of [toDot, toText, toJson]) expect(draw(graphOf(shuffled))).toBe(draw(graphOf(units)));
    }),
    { numRuns: Math.ceil(numRuns / 5) },
  );
});

test('[C7] Graphviz reads the DOT of any graph, whatever its texts hold, and finds the same units and edges', async () => {
  const viz = await instance();
  fc.assert(
    fc.property(acyclic, fc.string({ unit: 'binary', maxLength: 40 }), (all, about) => {
      const units = unitsFrom(all).map((unit) => ({ ...unit, about }));
      const result = viz.renderJSON(toDot(graphOf(units), { criticalPath: ['u0', 'u1'] })) as {
        objects: { name: string; label?: string }[];
        edges?: { tail: number; head: number }[];
      };
      const names = new Set(result.objects.map((object) => object.name));
      for (let index = 0; index < size; index += 1) expect(names).toContain(name(index));
      expect(result.edges ?? []).toHaveLength(all.length);
    }),
    { numRuns: Math.ceil(numRuns / 10) },
  );
});
