/**
 * Makes the loads as even as eligibility lets them be, by shortest augmenting paths: a chain of moves
 * of equal weight from a node with much to one with little, each to a node that may have the address.
 * For one weight the result is exact, as each node's cost is convex: no better assignment exists when
 * no such chain is left. Of several weights each is evened out by itself, and pairs of different
 * weights are exchanged: a local optimum.
 */
import { isLess, type Board, type Item } from './board.ts';
import { moversByWeight, type Movers } from './movers.ts';
import type { SoftRules } from './soft-rules.ts';

/** Of several weights a step has to even out this share of the mean load: less is not worth a move. */
const leastStep = 0.01;

/** Afterwards no single step makes the loads of `items`, with all others where they are, more even. */
export function evenOut(board: Board, rules: SoftRules, items: readonly Item[]): void {
  const classes = moversByWeight(board, rules, items);
  const isWeighted = classes.length > 1;
  const least = isWeighted ? leastStep * meanLoad(board) : 0;
  for (let changed = true; changed;) {
    changed = false;
    for (const movers of classes) if (evenOutOne(board, movers, 2 * least * movers.weight)) changed = true;
    if (!isWeighted) return;
    if (exchange(board, items, classes, least)) changed = true;
  }
}

function evenOutOne(board: Board, movers: Movers, leastGain: number): boolean {
  let changed = false;
  for (let again = true; again;) {
    again = false;
    // Those from which nothing led on. A later move may open a way: they are asked once more before the end.
    const stuck = new Set<number>();
    for (;;) {
      const from = heaviest(board, movers, stuck);
      if (from === undefined) break;
      if (relieve(board, movers, from, leastGain)) again = changed = true;
      else stuck.add(from);
    }
  }
  return changed;
}

/** The node of which one item less saves most, if there is any to which one more costs less than that. */
function heaviest(board: Board, movers: Movers, stuck: ReadonlySet<number>): number | undefined {
  const { weight } = movers;
  let best: number | undefined;
  let bestCost = Math.min(...board.takers.map((node) => board.gainCost(node, weight)));
  for (const node of movers.nodes()) {
    if (stuck.has(node)) continue;
    const cost = board.lossCost(node, weight);
    if (!isLess(bestCost, cost)) continue;
    best = node;
    bestCost = cost;
  }
  return best;
}

/** One item less on a node, by the shortest chain to the node where one more costs least. */
function relieve(board: Board, movers: Movers, from: number, leastGain: number): boolean {
  const ways = reachable(board, movers, from);
  let best: number | undefined;
  let bestCost = board.lossCost(from, movers.weight) - leastGain;
  for (const [node, { distance }] of ways) {
    const cost = board.gainCost(node, movers.weight);
    if (isLess(bestCost, cost) || (best === undefined && !isLess(cost, bestCost))) continue;
    // Of equal ones the nearest, of equally near ones the one that the hash names.
    if (best !== undefined && !isLess(cost, bestCost)) {
      const farther = distance - (ways.get(best)?.distance ?? 0);
      if (farther > 0 || (farther === 0 && board.nodeScore(from, node) <= board.nodeScore(from, best))) continue;
    }
    best = node;
    bestCost = cost;
  }
  if (best === undefined) return false;
  for (let to = best; to !== from;) {
    const before = ways.get(to)?.from;
    const item = before === undefined ? undefined : movers.pick(before, to);
    if (before === undefined || item === undefined) throw new Error('internal error: a way that is none');
    movers.put(item, to);
    to = before;
  }
  return true;
}

interface Way {
  readonly from: number;
  /** In moves. */
  readonly distance: number;
}

/** Where something of a node can go, by chains of moves; the nearest first. */
function reachable(board: Board, movers: Movers, start: number): ReadonlyMap<number, Way> {
  const ways = new Map<number, Way>();
  let front: readonly number[] = [start];
  for (let distance = 1; front.length > 0 && ways.size < board.takers.length - 1; distance++) {
    const next: number[] = [];
    for (const from of front) {
      for (const choice of movers.choices(from)) {
        for (const to of choice.nodes) {
          if (to === start || ways.has(to)) continue;
          ways.set(to, { from, distance });
          next.push(to);
        }
      }
    }
    front = next;
  }
  return ways;
}

/** Swaps a heavier for a lighter item where that makes two nodes more even. */
function exchange(board: Board, items: readonly Item[], classes: readonly Movers[], least: number): boolean {
  const moversOf = new Map(classes.map((movers) => [movers.weight, movers]));
  const gainRates = board.nodes.map((_node, number) => board.gainRate(number));
  let changed = false;
  for (const heavy of items) {
    const from = board.placeOf(heavy);
    // Costs are convex: where the first bit that is shifted gains nothing, no shift does. That is nearly everywhere.
    const rate = board.lossRate(from) - 2 * least;
    const nodes = heavy.choice.nodes.filter((to) => (gainRates[to] ?? 0) < rate && to !== from);
    const light = nodes.length === 0 ? undefined : partnerOf(board, heavy, { classes, nodes, least });
    if (light === undefined) continue;
    const to = board.placeOf(light);
    moversOf.get(heavy.weight)?.put(heavy, to);
    moversOf.get(light.weight)?.put(light, from);
    for (const node of [from, to]) gainRates[node] = board.gainRate(node);
    changed = true;
  }
  return changed;
}

interface Partners {
  readonly classes: readonly Movers[];
  readonly nodes: readonly number[];
  readonly least: number;
}

/** With which of these, on these nodes, an item best changes places. */
function partnerOf(board: Board, heavy: Item, { classes, nodes, least }: Partners): Item | undefined {
  const from = board.placeOf(heavy);
  let best: Item | undefined;
  let bestGain = 0;
  for (const movers of classes) {
    const shift = heavy.weight - movers.weight;
    if (shift <= 0) continue;
    const relief = board.lossCost(from, shift) - 2 * least * shift;
    for (const to of nodes) {
      const gain = relief - board.gainCost(to, shift);
      if (isLess(gain, bestGain) || (best === undefined && !isLess(bestGain, gain))) continue;
      const light = movers.first(to, from);
      if (light === undefined || (best !== undefined && !isLess(bestGain, gain) && best.number < light.number))
        continue;
      best = light;
      bestGain = gain;
    }
  }
  return best;
}

/** By capacity, over the nodes that take. */
export function meanLoad(board: Board): number {
  let load = 0;
  let capacity = 0;
  for (const node of board.takers) {
    load += board.loadOf(node);
    capacity += board.node(node).capacity;
  }
  return capacity === 0 ? 0 : load / capacity;
}
