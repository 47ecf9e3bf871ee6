/**
 * Keeps more of the soft rules without making the loads less even: an address whose rules are broken
 * goes elsewhere, or changes places with another. Each step lowers what the broken rules cost, so it
 * ends; it finds a local optimum, not the best there is.
 */
import { isLess, type Board, type Item } from './board.ts';
import type { SoftRules } from './soft-rules.ts';

/** Rounds over all addresses; what is still broken after them is broken for good, or as good as. */
const rounds = 4;

export function soften(board: Board, rules: SoftRules, items: readonly Item[]): void {
  if (rules.isEmpty) return;
  for (let round = 0; round < rounds; round++) {
    let changed = false;
    for (const item of items) {
      if (
        rules.cost(item, board.placeOf(item)) > 0 &&
        (goElsewhere(board, rules, item) || swap(board, rules, item, items))
      )
        changed = true;
    }
    if (!changed) return;
  }
}

function goElsewhere(board: Board, rules: SoftRules, item: Item): boolean {
  const from = board.placeOf(item);
  let best = from;
  let bestCost = rules.cost(item, from);
  for (const node of item.choice.nodes) {
    const cost = rules.cost(item, node);
    if (cost >= bestCost || isLess(board.lossCost(from, item.weight), board.gainCost(node, item.weight))) continue;
    best = node;
    bestCost = cost;
  }
  if (best === from) return false;
  board.put(item, best);
  return true;
}

/** Tried out and taken back: what a swap does to the rules of both depends on both. */
function swap(board: Board, rules: SoftRules, item: Item, items: readonly Item[]): boolean {
  const from = board.placeOf(item);
  let best: Item | undefined;
  let bestCost = 0;
  for (const other of items) {
    const to = board.placeOf(other);
    if (to === from || other.weight !== item.weight) continue;
    if (item.choice.has[to] !== true || other.choice.has[from] !== true) continue;
    const cost = swapCost(board, rules, item, other);
    if (cost > bestCost || cost >= 0) continue;
    if (cost === bestCost && best !== undefined && board.score(other, from) <= board.score(best, from)) continue;
    best = other;
    bestCost = cost;
  }
  if (best === undefined) return false;
  const to = board.placeOf(best);
  board.put(item, to);
  board.put(best, from);
  return true;
}

/** What all broken rules cost more after it: each step counts what it changes for the one that goes. */
function swapCost(board: Board, rules: SoftRules, item: Item, other: Item): number {
  const [from, to] = [board.placeOf(item), board.placeOf(other)];
  const first = rules.cost(item, to) - rules.cost(item, from);
  board.put(item, to);
  const second = rules.cost(other, from) - rules.cost(other, to);
  board.put(item, from);
  return first + second;
}
