/** The items of one weight that may be moved, by the node that they are on. */
import type { Board, Choice, Item } from './board.ts';
import type { SoftRules } from './soft-rules.ts';

export class Movers {
  readonly weight: number;
  readonly #board: Board;
  readonly #rules: SoftRules;
  readonly #byNode = new Map<number, Map<Choice, Set<Item>>>();

  /** @param items of one weight, each of them somewhere */
  constructor(board: Board, rules: SoftRules, items: readonly Item[]) {
    this.#board = board;
    this.#rules = rules;
    this.weight = items[0]?.weight ?? 1;
    for (const item of items) this.#add(item);
  }

  /** The nodes that have one. */
  nodes(): Iterable<number> {
    return this.#byNode.keys();
  }

  /** The different choices of those on a node. */
  choices(node: number): Iterable<Choice> {
    return this.#byNode.get(node)?.keys() ?? [];
  }

  on(node: number, choice: Choice): Iterable<Item> {
    return this.#byNode.get(node)?.get(choice) ?? [];
  }

  /** Of those on a node that may go to another the one with the lowest number. */
  first(from: number, to: number): Item | undefined {
    let first: Item | undefined;
    for (const [choice, items] of this.#byNode.get(from) ?? []) {
      if (choice.has[to] !== true) continue;
      for (const item of items) if (first === undefined || item.number < first.number) first = item;
    }
    return first;
  }

  put(item: Item, to: number): void {
    this.#remove(item);
    this.#board.put(item, to);
    this.#add(item);
  }

  /** Nothing empty is kept: what is listed has something. */
  #remove(item: Item): void {
    const node = this.#board.placeOf(item);
    const byChoice = this.#byNode.get(node);
    const items = byChoice?.get(item.choice);
    items?.delete(item);
    if (items?.size === 0) byChoice?.delete(item.choice);
    if (byChoice?.size === 0) this.#byNode.delete(node);
  }

  #add(item: Item): void {
    const node = this.#board.placeOf(item);
    const byChoice = this.#byNode.get(node) ?? new Map<Choice, Set<Item>>();
    this.#byNode.set(node, byChoice);
    const items = byChoice.get(item.choice) ?? new Set<Item>();
    byChoice.set(item.choice, items);
    items.add(item);
  }

  /** Which one goes from a node to another: fewest moves, then the soft rules, then who does not rest, then the hash. */
  pick(from: number, to: number): Item | undefined {
    let best: Item | undefined;
    let bestCost = Number.POSITIVE_INFINITY;
    for (const [choice, items] of this.#byNode.get(from) ?? []) {
      if (choice.has[to] !== true) continue;
      for (const item of items) {
        const cost = this.#costOf(item, from, to);
        if (cost > bestCost) continue;
        if (cost === bestCost && best !== undefined && !this.#belongsRather(item, best, to)) continue;
        best = item;
        bestCost = cost;
      }
    }
    return best;
  }

  #costOf(item: Item, from: number, to: number): number {
    const moves = this.#board.moveCost(item, to) - this.#board.moveCost(item, from);
    const soft = this.#rules.isEmpty ? 0 : this.#rules.cost(item, to) - this.#rules.cost(item, from);
    return moves * 1e12 + soft * 2 + (item.isResting ? 1 : 0);
  }

  #belongsRather(item: Item, other: Item, to: number): boolean {
    const [score, otherScore] = [this.#board.score(item, to), this.#board.score(other, to)];
    return score > otherScore || (score === otherScore && item.number < other.number);
  }
}

/** By weight, the heaviest first. */
export function moversByWeight(board: Board, rules: SoftRules, items: readonly Item[]): readonly Movers[] {
  const classes = new Map<number, Item[]>();
  for (const item of items) {
    const members = classes.get(item.weight);
    if (members === undefined) classes.set(item.weight, [item]);
    else members.push(item);
  }
  return [...classes].sort(([a], [b]) => b - a).map(([, members]) => new Movers(board, rules, members));
}
