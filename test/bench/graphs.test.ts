import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import {
  chain,
  criticalPath,
  diamonds,
  layered,
  readStamps,
  shellScript,
  wide,
  writeUnits,
} from '../../bench/graphs.mjs';
import { buildGraph } from '../../src/graph/build-graph.ts';
import { loadUnits } from '../../src/unit/load-units.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-bench-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each([
  ['chain', chain(20), 20],
  ['wide', wide(20), 1],
  ['diamonds', diamonds(21, 8), 6],
  ['layered', layered({ layers: 3, width: 4, minMs: 1, maxMs: 5 }), 3],
])('the unit files of a %s graph load, and have the depth that is meant', async (name, nodes, depth) => {
  const units = path.join(folder, name);
  writeUnits(nodes, units, (node) => ['true', node.name]);
  const loaded = await loadUnits({ dirs: [units], variables: {} });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.error));
  const graph = buildGraph(loaded.value);
  if (!graph.ok) throw new Error(JSON.stringify(graph.error));
  const depths = new Map<string, number>();
  for (const unit of graph.value.order) {
    const needs = graph.value.needs(unit).map((need) => depths.get(need.unit) ?? 0);
    depths.set(unit, 1 + Math.max(0, ...needs));
  }
  expect(depths.size).toBe(nodes.length);
  expect(Math.max(...depths.values())).toBe(depth);
});

test('a layered graph is the same in every run', () => {
  const shape = { layers: 4, width: 3, minMs: 10, maxMs: 90 };
  expect(layered(shape)).toEqual(layered(shape));
  expect(layered({ ...shape, seed: 2 })).not.toEqual(layered(shape));
});

/** a(10) → b(30) → d(20), and c(5) beside b: the path goes through b. */
test('the critical path is found from stamps alone: from the last to be ready back to what it waited for', () => {
  const nodes = [
    { name: 'a', needs: [] },
    { name: 'b', needs: ['a'] },
    { name: 'c', needs: ['a'] },
    { name: 'd', needs: ['b', 'c'] },
  ];
  const seen = new Map([
    ['a', { start: 100, ready: 110 }],
    ['b', { start: 112, ready: 142 }],
    ['c', { start: 113, ready: 118 }],
    ['d', { start: 144, ready: 164 }],
  ]);
  expect(criticalPath(nodes, seen)).toEqual({ path: ['a', 'b', 'd'], selfMs: 60, totalMs: 164 });
});

test('the first stamp of a kind counts, and a line that is not whole does not', () => {
  const text = 'a start 5000000\na ready 7000000\na start 9000000\nb sta';
  expect(readStamps(text, 1_000_000n)).toEqual(new Map([['a', { start: 4, ready: 6 }]]));
});

test('the shell script starts every unit in the background and quotes what needs it', () => {
  const script = shellScript(wide(2), (node) => ['/bin/stamp', "it's", node.name]);
  expect(script).toBe(`#!/bin/sh\n'/bin/stamp' 'it'\\''s' 'u0' &\n'/bin/stamp' 'it'\\''s' 'u1' &\nwait\n`);
});
