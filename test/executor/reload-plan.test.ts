/** The difference of two graphs as steps: a table of cases, and what holds for any two graphs. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ReloadPlan } from '../../src/event/reload-plan.ts';
import { planReload } from '../../src/executor/reload-plan.ts';
import type { UnitGraph } from '../../src/graph/unit-graph.ts';
import { graphOfUnits, fakeGraph, fakeUnit } from '../kit/fake-graph.ts';
import { graphOfCase, reloadedGraph, simulationCases } from '../kit/simulation-case.ts';

const nothing: ReloadPlan = { stop: [], restart: [], start: [], update: [] };
const base = 'api -> hard db; ui -> soft api; db';

/** The same graph with other hashes. */
const changed = (graph: UnitGraph, ...names: readonly string[]) =>
  graphOfUnits(
    graph.order.map((name) => ({
      ...fakeUnit(name, { needs: [...graph.needs(name)] }),
      hash: names.includes(name) ? 'other' : graph.unit(name).hash,
    })),
  );

const plan = (after: UnitGraph, down: readonly string[] = [], before = fakeGraph(base)) =>
  planReload({
    before,
    after,
    wanted: after.order,
    isSettled: () => true,
    isWantedUp: (unit) => !down.includes(unit),
  });

test.each([
  ['the same files', plan(fakeGraph(base)), nothing],
  ['a changed unit restarts alone', plan(changed(fakeGraph(base), 'db')), { ...nothing, restart: ['db'] }],
  [
    'two changed units, in start order',
    plan(changed(fakeGraph(base), 'ui', 'db')),
    { ...nothing, restart: ['db', 'ui'] },
  ],
  [
    'one that is down is not started for it',
    plan(changed(fakeGraph(base), 'ui'), ['ui']),
    { ...nothing, update: ['ui'] },
  ],
  ['another edge', plan(fakeGraph('api -> hard db; ui -> soft db; db')), { ...nothing, update: ['ui'] }],
  [
    'another option of an edge',
    plan(fakeGraph('api -> hard db onLoss=restart; ui -> soft api; db')),
    { ...nothing, update: ['api'] },
  ],
  ['a new unit', plan(fakeGraph(`${base}; cache`)), { ...nothing, start: ['cache'] }],
  ['units that are gone, dependents first', plan(fakeGraph('db')), { ...nothing, stop: ['ui', 'api'] }],
] as const)('[S8] reload: %s', (_name, actual, expected) => {
  expect(actual).toEqual(expected);
});

test('a unit that the user stopped is not started by a reload, a new one that nobody asked for neither', () => {
  const after = fakeGraph(`${base}; cache; other`);
  const steps = planReload({
    before: fakeGraph(base),
    after,
    wanted: ['db', 'api', 'cache'],
    isSettled: (unit) => unit !== 'api',
    isWantedUp: () => true,
  });
  expect(steps).toEqual({ ...nothing, start: ['cache', 'api'] });
});

test('builtins that read changed settings restart although their definition is the same', () => {
  const graph = fakeGraph(base);
  const isAlsoChanged = (unit: string) => unit === 'db';
  const steps = planReload({
    before: graph,
    after: graph,
    wanted: graph.order,
    isSettled: () => true,
    isWantedUp: () => true,
    isAlsoChanged,
  });
  expect(steps).toEqual({ ...nothing, restart: ['db'] });
});

test('for any two graphs: each unit is in one step at most, each step is right, and the order is that of the graph', () => {
  const cases = simulationCases({ min: 1, max: 12 });
  const masks = fc.record({
    atMs: fc.constant(0),
    changed: fc.nat(),
    cut: fc.nat(),
    removed: fc.nat(),
    broken: fc.nat(),
  });
  fc.assert(
    fc.property(cases, masks, fc.nat(), (simulation, reload, downs) => {
      const before = graphOfCase(simulation);
      const after = reloadedGraph(simulation, reload, 1);
      const isWantedUp = (unit: string) => ((downs >> Number(unit.slice(1))) & 1) === 0;
      const steps = planReload({ before, after, wanted: after.order, isSettled: () => true, isWantedUp });
      const all = [...steps.stop, ...steps.restart, ...steps.start, ...steps.update];
      expect(new Set(all).size).toBe(all.length);
      expect(steps.stop.every((unit) => before.has(unit) && !after.has(unit))).toBe(true);
      expect(steps.start.every((unit) => !before.has(unit) && after.has(unit))).toBe(true);
      for (const unit of after.order.filter((name) => before.has(name))) {
        const hasChanged = before.unit(unit).hash !== after.unit(unit).hash;
        expect(steps.restart.includes(unit)).toBe(hasChanged && isWantedUp(unit));
        if (!hasChanged && before.needs(unit).length === after.needs(unit).length) expect(all).not.toContain(unit);
      }
      expect(steps.restart).toEqual(after.order.filter((unit) => steps.restart.includes(unit)));
      for (const [index, unit] of steps.stop.entries()) {
        for (const later of steps.stop.slice(index + 1)) expect(before.stopsAfter(unit)).not.toContain(later);
      }
    }),
    { numRuns: 300 },
  );
});
