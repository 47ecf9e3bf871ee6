import { expect, test } from 'vitest';
import { expectedCriticalPath, liveCriticalPath } from '../../src/graph/critical-path.ts';
import { redundantEdges } from '../../src/graph/redundant-edges.ts';
import { expectedTimes } from '../../src/graph/schedule.ts';
import { renderDiagnostics } from '../../src/unit/diagnostic.ts';
import { graphOf, problemsOf, unitOf, unitsOf } from './graph-fixture.ts';

/**
 *   certs ◀── etcd ◀── api ◀── manager        hard ◀──, soft ◁╌╌, parallel ◃··
 *     ▲                 ╎ ·
 *     └── kubeconfigs ◁╌┘ ··▹ metrics
 */
const cluster = unitsOf({
  manager: ['hard api'],
  api: ['hard etcd', 'soft kubeconfigs', 'parallel metrics'],
  etcd: ['hard certs'],
  kubeconfigs: ['hard certs'],
  metrics: [],
  certs: [],
});

test('[C3] [S7] hard and soft edges make levels, parallel ones do not', () => {
  const graph = graphOf(cluster);
  expect(graph.levels).toEqual([['certs', 'metrics'], ['etcd', 'kubeconfigs'], ['api'], ['manager']]);
  expect(graph.order).toEqual(['certs', 'metrics', 'etcd', 'kubeconfigs', 'api', 'manager']);
});

test('[S7] a soft edge that waits 0 s orders the stop and not the start', () => {
  const graph = graphOf(unitsOf({ a: ['soft b 0s'], b: ['hard c'], c: [] }));
  expect(graph.levels[0]).toEqual(['c', 'a']);
  expect(graph.stopsAfter('b')).toEqual(['a']);
});

test('among equals the unit with the longest tail goes first', () => {
  const units = unitsOf({ a: [], b: [], c: [], last: ['hard b'] });
  expect(graphOf(units).order).toEqual(['b', 'a', 'c', 'last']);
  const durationsMs = new Map([
    ['c', 50],
    ['b', 10],
    ['last', 20],
  ]);
  const graph = graphOf(units, { durationsMs });
  expect(graph.order).toEqual(['c', 'b', 'a', 'last']);
  expect(['a', 'b', 'c', 'last'].map((name) => graph.tailMs(name))).toEqual([1, 30, 50, 20]);
  expect(graph.dependents('b')).toMatchObject([{ unit: 'last', need: { kind: 'hard' } }]);
});

test('a tail counts only the time that dependents wait for', () => {
  const durationsMs = new Map([
    ['target', 100],
    ['dependent', 30],
  ]);
  const tail = (edge: string) => graphOf(unitsOf({ target: [], dependent: [edge] }), { durationsMs }).tailMs('target');
  expect(tail('hard target')).toBe(130);
  expect(tail('hard target started')).toBe(100);
  expect(tail('soft target 50ms')).toBe(100);
  expect(tail('soft target 90ms')).toBe(120);
  expect(tail('parallel target')).toBe(100);
});

test('the closure brings in what every kind of edge names, in start order', () => {
  const graph = graphOf(cluster);
  expect(graph.closure(['api'])).toEqual(['certs', 'metrics', 'etcd', 'kubeconfigs', 'api']);
  expect(graph.closure(['etcd', 'metrics', 'nobody'])).toEqual(['certs', 'metrics', 'etcd']);
});

test('hard and soft dependents stop before their target, parallel ones need not', () => {
  const graph = graphOf(cluster);
  expect(graph.stopsAfter('etcd')).toEqual(['api']);
  expect(graph.stopsAfter('kubeconfigs')).toEqual(['api']);
  expect(graph.stopsAfter('metrics')).toEqual([]);
});

test('a cycle is told with its whole path and the place of each edge', () => {
  expect(problemsOf(unitsOf({ a: ['hard b'], b: ['parallel x', 'soft c'], c: ['hard a'], x: ['hard a'] })))
    .toMatchInlineSnapshot(`
    "a.yaml:2:5: error: units wait for each other: a → b → c → a
      a.yaml:2:5: a needs b (hard)
      2 |   - {"hard":"b"}
        |     ^~~~~~~~~~~~
      b.yaml:3:5: b needs c (soft)
      3 |   - {"soft":"c"}
        |     ^~~~~~~~~~~~
      c.yaml:2:5: c needs a (hard)
      2 |   - {"hard":"a"}
        |     ^~~~~~~~~~~~
      hint: take one of these edges away, or make it parallel: a parallel edge does not wait"
  `);
});

test('of cycles within cycles each shortest one is told once', () => {
  const text = problemsOf(
    unitsOf({ a: ['hard b'], b: ['hard a', 'hard c'], c: ['hard b', 'hard d'], d: ['hard a'], e: ['hard e'] }),
  );
  expect([...text.matchAll(/error: (.*)/g)].map(([, message]) => message).sort()).toEqual([
    'e waits for itself',
    'units wait for each other: a → b → a',
    'units wait for each other: a → b → c → d → a',
    'units wait for each other: b → c → b',
  ]);
});

test('a cycle through a parallel edge is none', () => {
  expect(graphOf(unitsOf({ a: ['hard b'], b: ['parallel a'] })).order).toEqual(['b', 'a']);
});

test('an edge to an unknown unit names the nearest known one', () => {
  expect(problemsOf(unitsOf({ api: ['hard etdc'], etcd: [] }))).toMatchInlineSnapshot(`
    "api.yaml:2:5: error: api needs an unknown unit "etdc"
      2 |   - {"hard":"etdc"}
        |     ^~~~~~~~~~~~~~~
      hint: did you mean "etcd"?"
  `);
});

test('two edges to one unit are told with both places', () => {
  expect(problemsOf(unitsOf({ api: ['hard etcd', 'soft etcd'], etcd: [] }))).toContain(
    'api.yaml:3:5: error: api has a second edge to "etcd"',
  );
});

test('two units that claim one port or one path are told, however it is written', () => {
  const text = problemsOf([
    unitOf('a', [], { claims: { ports: [80], paths: ['/var/lib/x/'] } }),
    unitOf('b', [], { claims: { ports: ['80'], paths: ['/var/lib/./x'] } }),
    unitOf('c', [], { claims: { ports: [81], paths: ['/var/lib'] } }),
  ]);
  expect(text).toContain('b.yaml:1:1: error: b and a both claim port 80\n  a.yaml:1:1: claimed by a here');
  expect(text).toContain('error: b and a both claim path /var/lib/x\n');
  expect(text.match(/error:/g)).toHaveLength(2);
});

test('a hard edge to a disabled unit is an error, soft and parallel ones are dropped', () => {
  const disabled = new Map([['b', 'agent']]);
  expect(problemsOf({ units: unitsOf({ a: ['hard b'] }), disabled })).toContain(
    'error: a needs "b", which is disabled (by "agent")',
  );
  const graph = graphOf({ units: unitsOf({ a: ['soft b', 'hard c'], c: ['parallel b'] }), disabled });
  expect(graph.needs('a')).toMatchObject([{ unit: 'c' }]);
  expect(graph.needs('c')).toEqual([]);
});

test('all problems of a graph are told at once', () => {
  const text = problemsOf(unitsOf({ a: ['hard a', 'hard x'], b: ['hard y'], c: ['soft b', 'hard b'] }));
  expect(text.match(/error:/g)).toHaveLength(4);
});

test('an edge that another one implies is worth a remark, unless it says something of its own', () => {
  const graph = graphOf(
    unitsOf({
      a: ['hard b', 'hard c', 'soft d'],
      b: ['hard c', 'hard d'],
      c: [],
      d: [],
      e: ['hard b', 'hard c started'],
    }),
  );
  expect(renderDiagnostics(redundantEdges(graph)).split('\n')[0]).toBe(
    'a.yaml:3:5: warning: a waits for "c" already through "b"',
  );
  expect(redundantEdges(graph)).toHaveLength(1);
});

test('[S8] the expected critical path follows the time that is waited for', () => {
  const durationsMs = new Map([
    ['certs', 100],
    ['etcd', 500],
    ['kubeconfigs', 700],
    ['api', 900],
    ['manager', 50],
    ['metrics', 1200],
  ]);
  const graph = graphOf(cluster, { durationsMs });
  expect(expectedCriticalPath(graph, durationsMs)).toEqual(['certs', 'kubeconfigs', 'api', 'manager']);
  const times = expectedTimes(graph, graph.order, durationsMs);
  expect(times.get('api')).toEqual({ startMs: 800, readyMs: 1700 });
  expect(times.get('metrics')).toEqual({ startMs: 0, readyMs: 1200 });
  const alone = new Map([['metrics', 5000]]);
  expect(expectedCriticalPath(graphOf(cluster, { durationsMs: alone }), alone)).toEqual(['metrics']);
});

test('[S8] the critical path of a start goes back over the gates that opened last', () => {
  const graph = graphOf(unitsOf({ a: [], b: ['hard a'], c: ['hard a started'], d: ['hard b', 'hard c'] }));
  const at = (ms: number) => ({ wallMs: ms, monotonicMs: ms });
  const live = (unit: string, startedMs: number, readyMs: number) =>
    ({ unit, state: 'ready', startedAt: at(startedMs), readyAt: at(readyMs), degraded: [] }) as const;
  expect(liveCriticalPath(graph, [live('a', 0, 5), live('b', 5, 9), live('c', 1, 20), live('d', 20, 30)])).toEqual([
    'a',
    'c',
    'd',
  ]);
  expect(liveCriticalPath(graph, [])).toEqual([]);
});

const many = 1000;
const name = (index: number) => `u${String(index).padStart(4, '0')}`;
const indexes = Array.from({ length: many }, (_, index) => index);
test.each([
  ['a chain', indexes.map((index) => unitOf(name(index), index === 0 ? [] : [`hard ${name(index - 1)}`]))],
  ['a wide graph', indexes.map((index) => unitOf(name(index), index === 0 ? [] : [`hard ${name(0)}`]))],
  [
    'a diamond',
    indexes.map((index) =>
      index === many - 1
        ? unitOf(
            name(index),
            indexes.slice(1, -1).map((other) => `hard ${name(other)}`),
          )
        : unitOf(name(index), index === 0 ? [] : [`hard ${name(0)}`]),
    ),
  ],
])('%s of 1000 units is built in less than 50 ms', (_, units) => {
  const buildMs = () => {
    const from = performance.now();
    expect(graphOf(units).order).toHaveLength(many);
    return performance.now() - from;
  };
  // The best of many: neither V8's warming up nor other work of the machine is what is measured.
  expect(Math.min(...Array.from({ length: 40 }, buildMs))).toBeLessThan(50);
});
