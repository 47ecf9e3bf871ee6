/** Gives everything that has to get an owner one, with all that is placed left where it is. */
import { isLess, type Board, type Item } from './board.ts';
import { evenOut } from './even-out.ts';
import type { SoftRules } from './soft-rules.ts';

export function placeLoose(board: Board, rules: SoftRules): void {
  const loose = board.movable().filter((item) => item.standing.kind === 'loose');
  // The heaviest first, and of those the ones with the least choice: what comes later can even it out.
  const order = [...loose].sort(
    (a, b) => b.weight - a.weight || a.choice.nodes.length - b.choice.nodes.length || a.hash - b.hash,
  );
  for (const item of order) board.put(item, bestNode(board, rules, item));
  evenOut(board, rules, loose);
  keepWhatNobodyElseMayHave(board);
}

function bestNode(board: Board, rules: SoftRules, item: Item): number {
  let best = -1;
  for (const node of item.choice.nodes) if (best < 0 || isBetter(board, rules, item, node, best)) best = node;
  return best;
}

function isBetter(board: Board, rules: SoftRules, item: Item, node: number, best: number): boolean {
  const [cost, bestCost] = [board.gainCost(node, item.weight), board.gainCost(best, item.weight)];
  if (isLess(cost, bestCost)) return true;
  if (isLess(bestCost, cost)) return false;
  const [soft, bestSoft] = [rules.cost(item, node), rules.cost(item, best)];
  return soft === bestSoft ? board.score(item, node) > board.score(item, best) : soft < bestSoft;
}

/** A node that is drained or not ready keeps what no other may hold: badly served is better than not at all. */
function keepWhatNobodyElseMayHave(board: Board): void {
  for (const item of board.items) {
    const { standing, choice } = item;
    if (standing.kind !== 'loose' || standing.stays === undefined || choice.nodes.length > 0) continue;
    board.put(item, board.numberOf(standing.stays));
  }
}
