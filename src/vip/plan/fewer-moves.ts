/**
 * Of all assignments that are equally even, one with the fewest moves: cycles of moves that change no
 * load, or shift one between two nodes to which it costs the same, and after which fewer addresses are
 * away from home. With none left the number is the least there is: a flow is of least cost when no
 * cycle of negative cost remains. Source: Klein, "A Primal Method for Minimal Cost Flows" (1967), with
 * the Bellman-Ford search for a cycle.
 */
import type { Board, Item } from './board.ts';
import type { Movers } from './movers.ts';

export function fewerMoves(board: Board, movers: Movers): void {
  while (hasAway(board, movers)) {
    const cycle = findCycle(board, movers);
    if (cycle === undefined) return;
    // Picked before any is put: each is the one whose place the next takes.
    const items = cycle.map(([from, to]) => ({ item: movers.pick(from, to), to }));
    for (const { item, to } of items) {
      if (item === undefined) throw new Error('internal error: a cycle that is none');
      movers.put(item, to);
    }
  }
}

/** Only what is away, or is put somewhere anyway, can save a move. */
function hasAway(board: Board, movers: Movers): boolean {
  for (const node of movers.nodes()) {
    for (const choice of movers.choices(node)) {
      for (const item of movers.on(node, choice)) if (!isAtHome(board, item, node)) return true;
    }
  }
  return false;
}

const isAtHome = (board: Board, item: Item, node: number): boolean => !item.isLoose && board.moveCost(item, node) === 0;

type Arc = readonly [from: number, to: number, cost: number];

/** Moves, as pairs of nodes; undefined: there is no cycle that saves one. */
function findCycle(board: Board, movers: Movers): readonly (readonly [number, number])[] | undefined {
  const arcs = [...moveArcs(board, movers), ...levelArcs(board, movers)];
  const distance = new Map<number, number>();
  const cameFrom = new Map<number, number>();
  for (let changed = true; changed;) {
    changed = false;
    for (const [from, to, cost] of arcs) {
      const through = (distance.get(from) ?? 0) + cost;
      if (through >= (distance.get(to) ?? 0)) continue;
      distance.set(to, through);
      cameFrom.set(to, from);
      changed = true;
    }
    const cycle = changed ? cycleIn(cameFrom) : undefined;
    if (cycle !== undefined) return cycle.filter(([from, to]) => from >= 0 && to >= 0);
  }
  return undefined;
}

/** One item from here to there, at what that adds to the number of moves. */
function moveArcs(board: Board, movers: Movers): readonly Arc[] {
  return [...movers.nodes()].flatMap((from) => {
    const least = new Map<number, number>();
    for (const choice of movers.choices(from)) {
      let cost = 1;
      for (const item of movers.on(from, choice)) {
        if (isAtHome(board, item, from)) continue;
        cost = 0;
        if (!item.isLoose && choice.has[item.home] === true) least.set(item.home, -1);
      }
      for (const to of choice.nodes) if (to !== from) least.set(to, Math.min(cost, least.get(to) ?? cost));
    }
    return [...least].map(([to, cost]): Arc => [from, to, cost]);
  });
}

/**
 * Where one more costs one node what one less saves another, the load between them may be shifted for
 * nothing: through a node of its own for each such cost, with a negative number.
 */
function levelArcs(board: Board, movers: Movers): readonly Arc[] {
  const levels = new Map<number, number>();
  const levelOf = (cost: number): number => {
    const key = Number(cost.toPrecision(10));
    const level = levels.get(key) ?? -1 - levels.size;
    levels.set(key, level);
    return level;
  };
  return board.takers.flatMap((node): Arc[] => [
    [node, levelOf(board.gainCost(node, movers.weight)), 0],
    ...(board.loadOf(node) < movers.weight ? [] : [[levelOf(board.lossCost(node, movers.weight)), node, 0] as const]),
  ]);
}

/** A cycle among the predecessors, as pairs in the direction of the arcs. */
function cycleIn(cameFrom: ReadonlyMap<number, number>): readonly (readonly [number, number])[] | undefined {
  const done = new Set<number>();
  for (const start of cameFrom.keys()) {
    const seen = new Set<number>();
    let node: number | undefined = start;
    while (node !== undefined && !done.has(node) && !seen.has(node)) {
      seen.add(node);
      node = cameFrom.get(node);
    }
    if (node !== undefined && seen.has(node)) {
      const cycle: [number, number][] = [];
      let to: number = node;
      do {
        const from = cameFrom.get(to) ?? to;
        cycle.push([from, to]);
        to = from;
      } while (to !== node);
      return cycle;
    }
    for (const each of seen) done.add(each);
  }
  return undefined;
}
