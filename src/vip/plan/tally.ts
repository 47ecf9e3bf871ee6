/** How many items of one name are on each node: of a group, or of those that belong together. */
export class Tally {
  /** By the number of an item: the counts of its name, by the number of a node. */
  readonly #counts: readonly (Map<number, number> | undefined)[];
  readonly #sizes: readonly number[];

  /** @param names by the number of an item; undefined: it belongs to none */
  constructor(names: readonly (string | undefined)[]) {
    const counts = new Map<string, Map<number, number>>();
    const sizes = new Map<string, number>();
    this.#counts = names.map((name) => {
      if (name === undefined) return undefined;
      const own = counts.get(name) ?? new Map<number, number>();
      counts.set(name, own);
      sizes.set(name, (sizes.get(name) ?? 0) + 1);
      return own;
    });
    this.#sizes = names.map((name) => (name === undefined ? 0 : (sizes.get(name) ?? 0)));
  }

  get isEmpty(): boolean {
    return this.#counts.every((counts) => counts === undefined);
  }

  has(item: number): boolean {
    return this.#counts[item] !== undefined;
  }

  /** How many there are of an item's name, itself included. */
  sizeOf(item: number): number {
    return this.#sizes[item] ?? 0;
  }

  countOn(item: number, node: number): number {
    return this.#counts[item]?.get(node) ?? 0;
  }

  /** How many of an item's name are anywhere. */
  placed(item: number): number {
    let sum = 0;
    for (const count of this.#counts[item]?.values() ?? []) sum += count;
    return sum;
  }

  /** -1: nowhere. */
  shift(item: number, from: number, to: number): void {
    const counts = this.#counts[item];
    if (counts === undefined) return;
    if (from >= 0) counts.set(from, (counts.get(from) ?? 0) - 1);
    if (to >= 0) counts.set(to, (counts.get(to) ?? 0) + 1);
  }
}
