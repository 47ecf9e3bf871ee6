/** A value of a file together with where it is written; both YAML readers make it. */
import type { Path } from './variables.ts';

/** Character offsets, the end exclusive. */
export interface Located {
  readonly value: unknown;
  readonly from: number;
  readonly to: number;
  /** Of a map or a list, in the order of the file. */
  readonly entries?: readonly Entry[];
}

export interface Entry {
  readonly key: string | number;
  /** Of the key; of a list's item, the item itself. */
  readonly keyFrom: number;
  readonly keyTo: number;
  readonly node: Located;
}

/** What of a path is meant: the key, or the value that stands there. */
export type Target = 'key' | 'value';

/** Range of the deepest part of `path` that exists; for a path that does not begin to exist, the first key. */
export function findRange(root: Located, path: Path, target: Target): readonly [number, number] {
  let node = root;
  let entry: Entry | undefined;
  for (const segment of path) {
    const next = node.entries?.find(({ key }) => key === segment);
    if (next === undefined) break;
    entry = next;
    node = next.node;
  }
  if (target === 'value') return [node.from, node.to];
  entry ??= root.entries?.[0];
  return entry === undefined ? [root.from, root.to] : [entry.keyFrom, entry.keyTo];
}
