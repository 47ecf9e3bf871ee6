/**
 * A unit is its file with drop-ins laid over it, and every value of the result knows the layer
 * that it came from.
 *
 * Rules, from the lowest layer to the highest: maps merge by key and null removes the key; `needs`
 * merges by target unit (an edge replaces the one to the same unit in its place, `without: UNIT`
 * removes it, others are appended); a `ready` or `health` that names a check replaces the check
 * below; everything else, lists included, is replaced as a whole.
 */
import { nearestName } from '../kernel/nearest.ts';
import { probeKinds } from './probe-schema.ts';
import { edgeKinds } from './schema.ts';
import type { SourceText } from './source-text.ts';
import type { Path } from './variables.ts';

export interface Layer {
  readonly source: SourceText;
  readonly value: Readonly<Record<string, unknown>>;
}

/** Where a value of the merged unit was written. */
export interface Origin {
  readonly source: SourceText;
  readonly path: Path;
  /** False when only the beginning of the path exists. */
  readonly exact: boolean;
}

export interface Merged {
  readonly value: Readonly<Record<string, unknown>>;
  locate(path: Path): Origin;
}

export interface MergeProblem {
  readonly source: SourceText;
  readonly path: Path;
  readonly message: string;
  readonly hint?: string;
}

type Map_ = Readonly<Record<string, unknown>>;

const isMapValue = (value: unknown): value is Map_ =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

interface Edge {
  readonly layer: Layer;
  readonly index: number;
  readonly entry: unknown;
}

/** @param base - the unit file; only the layers above it may remove something */
export function mergeLayers(
  base: Layer,
  above: readonly Layer[],
  report: (problem: MergeProblem) => void = () => undefined,
): Merged {
  if (above.length === 0) return { value: base.value, locate: (path) => locateIn([base], path) };
  let value = base.value;
  let edges = edgesOf(base);
  for (const layer of above) {
    value = mergeMap(value, layer.value, []);
    if (!Object.hasOwn(layer.value, 'needs')) continue;
    const own = edgesOf(layer);
    edges = edges === undefined || own === undefined ? own : mergeEdges(edges, own, report);
  }
  if (edges !== undefined) value = { ...value, needs: edges.map(({ entry }) => entry) };
  const layers = [base, ...above];
  const merged = edges;
  return {
    value,
    locate(path) {
      const [first, index, ...rest] = path;
      const edge = first === 'needs' && typeof index === 'number' ? merged?.[index] : undefined;
      return edge === undefined ? locateIn(layers, path) : locateIn([edge.layer], ['needs', edge.index, ...rest]);
    },
  };
}

function mergeMap(below: Map_, above: Map_, path: Path): Map_ {
  const replacesCheck =
    path.length === 1 &&
    (path[0] === 'ready' || path[0] === 'health') &&
    probeKinds.some((kind) => above[kind] !== undefined && above[kind] !== null && !Object.hasOwn(below, kind));
  const merged = new Map(
    Object.entries(below).filter(([key]) => !replacesCheck || !(probeKinds as readonly string[]).includes(key)),
  );
  for (const [key, value] of Object.entries(above)) {
    const old = merged.get(key);
    if (value === null) merged.delete(key);
    else if (isMapValue(old) && isMapValue(value)) merged.set(key, mergeMap(old, value, [...path, key]));
    else merged.set(key, value);
  }
  return Object.fromEntries(merged);
}

/** The edges of a layer; undefined when it has no list of them (removed, or a mistake that the schema reports). */
function edgesOf(layer: Layer): Edge[] | undefined {
  const { needs } = layer.value;
  return Array.isArray(needs) ? needs.map((entry: unknown, index) => ({ layer, index, entry })) : undefined;
}

function targetOf(entry: unknown): string | undefined {
  if (!isMapValue(entry)) return undefined;
  const target = edgeKinds.map((kind) => entry[kind]).find((name) => name !== undefined);
  return typeof target === 'string' ? target : undefined;
}

function mergeEdges(below: readonly Edge[], above: readonly Edge[], report: (problem: MergeProblem) => void): Edge[] {
  let merged = [...below];
  for (const edge of above) {
    const removed = isMapValue(edge.entry) && Object.keys(edge.entry).length === 1 ? edge.entry['without'] : undefined;
    const target = typeof removed === 'string' ? removed : targetOf(edge.entry);
    const at = target === undefined ? -1 : merged.findIndex(({ entry }) => targetOf(entry) === target);
    if (typeof removed !== 'string') {
      if (at < 0) merged.push(edge);
      else merged[at] = edge;
    } else if (at < 0) {
      const near = nearestName(
        removed,
        merged.flatMap(({ entry }) => targetOf(entry) ?? []),
      );
      report({
        source: edge.layer.source,
        path: ['needs', edge.index, 'without'],
        message: `there is no edge to "${removed}" to remove`,
        ...(near === undefined ? {} : { hint: `did you mean "${near}"?` }),
      });
    } else {
      merged = merged.filter(({ entry }) => targetOf(entry) !== removed);
    }
  }
  return merged;
}

/** The highest layer that holds the longest part of `path`. */
function locateIn(layers: readonly Layer[], path: Path): Origin {
  for (let length = path.length; length > 0; length -= 1) {
    const part = path.slice(0, length);
    const layer = layers.findLast(({ value }) => holds(value, part));
    if (layer !== undefined) return { source: layer.source, path: part, exact: length === path.length };
  }
  const [base] = layers;
  if (base === undefined) throw new Error('internal error: a unit without a layer');
  return { source: base.source, path: [], exact: path.length === 0 };
}

function holds(value: unknown, path: Path): boolean {
  let node = value;
  for (const segment of path) {
    if (typeof node !== 'object' || node === null || !Object.hasOwn(node, segment)) return false;
    node = (node as Record<string | number, unknown>)[segment];
  }
  return true;
}
