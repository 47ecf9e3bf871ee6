/**
 * Graphs of units that are ready at once, written as unit files of k3s-lite and as a shell script
 * without any supervision (the floor: what spawning them costs).
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { seededRandom } from './seeded-random.mjs';

/** @typedef {{name: string, needs: string[], workMs?: number}} Node */

/** Each after the one before it. @returns {Node[]} */
export const chain = (count) =>
  Array.from({ length: count }, (_, i) => ({ name: nameOf(i), needs: i === 0 ? [] : [nameOf(i - 1)] }));

/** No edges. @returns {Node[]} */
export const wide = (count) => Array.from({ length: count }, (_, i) => ({ name: nameOf(i), needs: [] }));

/** One, then as many as the width side by side, then one that needs them all, and so on. @returns {Node[]} */
export function diamonds(count, width) {
  const nodes = [{ name: nameOf(0), needs: [] }];
  while (nodes.length < count) {
    const tip = nodes.at(-1).name;
    const layer = Array.from({ length: Math.min(width, count - nodes.length) }, (_, i) => nameOf(nodes.length + i));
    for (const name of layer) nodes.push({ name, needs: [tip] });
    if (nodes.length < count) nodes.push({ name: nameOf(nodes.length), needs: layer });
  }
  return nodes;
}

/** Layers of units with work of their own, each needing some of the layer before. Deterministic. @returns {Node[]} */
export function layered({ layers, width, minMs, maxMs, seed = 1 }) {
  const random = seededRandom(seed);
  const nodes = [];
  for (let layer = 0; layer < layers; layer++) {
    for (let i = 0; i < width; i++) {
      const before = layer === 0 ? [] : Array.from({ length: width }, (_, k) => `l${layer - 1}-${k}`);
      const needs = before.filter((_, k) => k === i || random() < 0.3);
      nodes.push({ name: `l${layer}-${i}`, needs, workMs: Math.round(minMs + random() * (maxMs - minMs)) });
    }
  }
  return nodes;
}

const nameOf = (index) => `u${index}`;

/** @param {Node[]} nodes @param {(node: Node) => string[]} run argv of a unit */
export function writeUnits(nodes, folder, run) {
  mkdirSync(folder, { recursive: true });
  for (const node of nodes) {
    const lines = ['about: stamps its start', `run: ${JSON.stringify(run(node))}`];
    if (node.needs.length > 0) lines.push('needs:', ...node.needs.map((name) => `  - hard: ${name}`));
    if (node.workMs !== undefined) lines.push('ready: {notify: true}');
    lines.push('stop: {within: 5s}');
    writeFileSync(path.join(folder, `${node.name}.yaml`), `${lines.join('\n')}\n`);
  }
}

/** Every unit in the background, in order, without waiting for anything. */
export function shellScript(nodes, run) {
  return `#!/bin/sh\n${nodes.map((node) => `${quoted(run(node))} &`).join('\n')}\nwait\n`;
}

/** A command line for a shell. @param {string[]} argv */
export const quoted = (argv) => argv.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');

/**
 * Sum of the work along the path that ended last, seen from outside: from the last unit to be
 * ready backwards, each time to the need that was ready last.
 *
 * @param {Node[]} nodes @param {Map<string, {start: number, ready: number}>} seen in ms
 */
export function criticalPath(nodes, seen) {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const latest = (names) => names.reduce((a, b) => (seen.get(b).ready > seen.get(a).ready ? b : a));
  const path_ = [latest([...byName.keys()])];
  while (byName.get(path_[0]).needs.length > 0) path_.unshift(latest(byName.get(path_[0]).needs));
  const selfMs = path_.reduce((sum, name) => sum + seen.get(name).ready - seen.get(name).start, 0);
  return { path: path_, selfMs, totalMs: seen.get(path_.at(-1)).ready };
}

/** "NAME start|ready NS" lines of bench/native. */
export function readStamps(text, t0) {
  const seen = new Map();
  for (const line of text.split('\n')) {
    const [name, what, at] = line.split(' ');
    if (at === undefined) continue;
    const entry = seen.get(name) ?? {};
    entry[what] ??= Number(BigInt(at) - t0) / 1e6;
    seen.set(name, entry);
  }
  return seen;
}
