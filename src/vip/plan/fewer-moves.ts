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
  for (;;) {
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

const isAtHome = (board: Board, item: Item, node: number): boolean => !item.isLoose && board.moveCost(item, node) === 0;

type Arc = readonly [from: number, to: number, cost: number];

/** Moves, as pairs of nodes; undefined: there is no cycle that saves one. */
function findCycle(board: Board, movers: Movers): readonly (readonly [number, number])[] | undefined {
  const nodes = [...movers.nodes()];
  const away = new Set(nodes.filter((node) => hasAway(movers, node)));
  if (away.size === 0) return undefined;
  const distance = new Map<number, number>();
  const cameFrom = new Map<number, number>();
  const relax = ([from, to, cost]: Arc): boolean => {
    const through = (distance.get(from) ?? 0) + cost;
    if (through >= (distance.get(to) ?? 0)) return false;
    distance.set(to, through);
    cameFrom.set(to, from);
    return true;
  };
  const moves = new Map<number, readonly Arc[]>();
  // From a node at distance 0 only what saves a move leads on: of most nodes the many arcs are never looked at.
  const movesFrom = (node: number): readonly Arc[] => {
    if (!away.has(node) && (distance.get(node) ?? 0) === 0) return [];
    const arcs = moves.get(node) ?? moveArcs(board, movers, node);
    moves.set(node, arcs);
    return arcs;
  };
  const levels = levelArcs(board, movers);
  for (let changed = true; changed;) {
    changed = false;
    for (const node of nodes) for (const arc of movesFrom(node)) if (relax(arc)) changed = true;
    for (const arc of levels) if (relax(arc)) changed = true;
    const cycle = changed ? cycleIn(cameFrom) : undefined;
    if (cycle !== undefined) return cycle.filter(([from, to]) => from >= 0 && to >= 0);
  }
  return undefined;
}

/** Something on a node could go home, which saves a move. */
function hasAway(movers: Movers, node: number): boolean {
  for (const choice of movers.choices(node)) {
    for (const { isLoose, home } of movers.on(node, choice)) {
      if (!isLoose && home !== node && choice.has[home] === true) return true;
    }
  }
  return false;
}

/** One item from a node to another, at what that adds to the number of moves. */
function moveArcs(board: Board, movers: Movers, from: number): readonly Arc[] {
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
