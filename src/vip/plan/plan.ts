/**
 * Who is to hold which address: one pure function from what there is to the moves that are to be made.
 *
 * 1. What has lost its owner, or has to leave it, gets one at once, as even as that can be with all
 *    others left where they are.
 * 2. The best assignment there is, with the fewest moves, is found beside it. What it has otherwise are
 *    voluntary moves: made when a node is far enough from its fair share, in a window, at a pace.
 *
 * Not here: how a move is made without two holders (coordination), and which nodes may hold an address
 * (service). See docs/virtual-ips.md.
 */
import type { NodeName, VipAddress } from '../model.ts';
import { Board, costTolerance } from './board.ts';
import { evenOut, meanLoad } from './even-out.ts';
import { fewerMoves } from './fewer-moves.ts';
import { moversByWeight } from './movers.ts';
import { pace, withinLastHour, type WantedMove } from './pace.ts';
import { placeLoose } from './place-loose.ts';
import type { Plan, PlanInput } from './plan-model.ts';
import { soften } from './soften.ts';
import { SoftRules } from './soft-rules.ts';

export function plan(input: PlanInput): Plan {
  const board = new Board(input);
  const rules = new SoftRules(board);
  placeLoose(board, rules);
  const atOnce = improvable(input) ? undefined : board.places();
  const rebalancing = improve(board, rules, input, atOnce === undefined);
  const { moves, waiting, againAtMs } = pace(wantedMoves(board, atOnce ?? board.places(), input), input);
  const unassigned = board.items.flatMap((item) => (board.placeOf(item) < 0 ? [item.address.address] : []));
  const owners = ownersAfter(input, moves, unassigned);
  board.restore(board.items.map(({ address }) => board.numberOf(owners.get(address.address))));
  return {
    moves,
    waiting,
    unassigned,
    owners,
    imbalance: imbalanceOn(board),
    violations: rules.violations(),
    rebalancing,
    againAtMs,
  };
}

/** With no voluntary move to come, what has to move goes where it is best as things are, not as they could be. */
const improvable = ({ policy, recentMovesAtMs, nowMs }: PlanInput): boolean =>
  policy.mayRebalance && withinLastHour(recentMovesAtMs, nowMs).length < policy.movesPerHour;

/** Puts everything where it is best, unless that is not worth it. Returns whether the loads are being evened out. */
function improve(board: Board, rules: SoftRules, input: PlanInput, isLooseFree: boolean): boolean {
  const begun = board.places();
  const loads = [...board.load];
  const loose = new Set(board.items.filter(({ isLoose }) => isLoose));
  if (!isLooseFree) board.settle();
  const items = board.movable();
  evenOut(board, rules, items);
  for (const movers of moversByWeight(board, rules, items)) fewerMoves(board, movers);
  const { startAbove, stopBelow } = input.policy;
  const limit = (input.rebalancing === true ? stopBelow : startAbove) - 1;
  const isWorthIt = farthest(board, loads) > limit + costTolerance;
  if (!isWorthIt) board.restore(begun);
  const isMoving = board.items.some((item) => !loose.has(item) && board.placeOf(item) !== begun[item.number]);
  soften(board, rules, items);
  return isWorthIt && isMoving;
}

/** How far the loads were from those of the board, at most, as a share of the mean. */
function farthest(board: Board, loads: readonly number[]): number {
  const mean = meanLoad(board);
  if (mean === 0) return 0;
  const distances = board.takers.map(
    (node) => Math.abs((loads[node] ?? 0) - board.loadOf(node)) / (mean * board.node(node).capacity),
  );
  return Math.max(0, ...distances);
}

/** @param atOnce where what has lost its owner goes now; from there it goes on to where the board has it */
function wantedMoves(board: Board, atOnce: readonly number[], { owners }: PlanInput): readonly WantedMove[] {
  const held = new Set(owners.values());
  const voluntary = (to: NodeName): 'failback' | 'rebalance' =>
    (board.node(board.numberOf(to)).isFresh ?? !held.has(to)) ? 'failback' : 'rebalance';
  return board.items.flatMap((item): WantedMove[] => {
    const { address } = item.address;
    const { standing } = item;
    const from = owners.get(address);
    const now = board.nameOf(standing.kind === 'loose' ? atOnce[item.number] : item.home);
    const then = board.nameOf(board.placeOf(item));
    if (now === undefined || then === undefined) return [];
    const first = standing.kind === 'loose' && now !== from ? [{ item, from, to: now, reason: standing.reason }] : [];
    const second = then === now ? [] : [{ item, from: now, to: then, reason: voluntary(then) }];
    return [...first, ...second];
  });
}

function ownersAfter(
  { addresses, owners }: PlanInput,
  moves: Plan['moves'],
  unassigned: readonly VipAddress[],
): ReadonlyMap<VipAddress, NodeName> {
  const after = new Map<VipAddress, NodeName>();
  for (const { address } of addresses) {
    const owner = owners.get(address);
    if (owner !== undefined) after.set(address, owner);
  }
  for (const { address, to } of moves) after.set(address, to);
  for (const address of unassigned) after.delete(address);
  return after;
}

/** When these have the addresses. */
export function imbalanceOf(input: PlanInput, owners: Plan['owners']): number {
  const board = new Board(input);
  board.restore(board.items.map(({ address }) => board.numberOf(owners.get(address.address))));
  return imbalanceOn(board);
}

/** Over the nodes that an address may be given to: one that none may be on cannot be filled. */
function imbalanceOn(board: Board): number {
  const choices = new Set(board.items.map(({ choice }) => choice));
  const nodes = new Set([...choices].flatMap((choice) => choice.nodes));
  let load = 0;
  let capacity = 0;
  let highest = 0;
  for (const number of nodes) {
    const node = board.node(number);
    load += board.loadOf(number);
    capacity += node.capacity;
    highest = Math.max(highest, board.loadOf(number) / node.capacity);
  }
  return load === 0 ? 1 : highest / (load / capacity);
}
