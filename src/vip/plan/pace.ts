/** Which of the moves that are wanted are made now, and what the others wait for. */
import type { MoveReason, NodeName } from '../model.ts';
import type { Item } from './board.ts';
import type { Plan, PlanInput, PlannedMove } from './plan-model.ts';

export interface WantedMove {
  readonly item: Item;
  readonly from: NodeName | undefined;
  readonly to: NodeName;
  readonly reason: MoveReason;
}

/** The order in which they are made: first what nobody answers for, last what can wait. */
const reasons = ['dead', 'new', 'ineligible', 'pin', 'elected', 'unready', 'drain', 'failback', 'rebalance'] as const;

const hourMs = 3_600_000;

export const withinLastHour = (timesMs: readonly number[], nowMs: number): readonly number[] =>
  timesMs.filter((atMs) => atMs > nowMs - hourMs);

export function pace(
  wanted: readonly WantedMove[],
  { policy, moving, recentMovesAtMs, nowMs }: PlanInput,
): Pick<Plan, 'moves' | 'waiting' | 'againAtMs'> {
  const recent = withinLastHour(recentMovesAtMs, nowMs);
  let atOnce = policy.movesAtOnce - moving.size;
  let inHour = policy.movesPerHour - recent.length;
  const moves: PlannedMove[] = [];
  const waiting: Plan['waiting'][number][] = [];
  const against: number[] = [];
  /** An address has one move at a time. */
  const movesNow = new Set<Item>();

  for (const { item, from, to, reason } of inOrder(wanted)) {
    const move = { address: item.address.address, from, to, reason };
    const until = waitsFor(reason, item);
    if (until === undefined) {
      moves.push(move);
      movesNow.add(item);
    } else waiting.push({ ...move, until });
  }
  return { moves, waiting, againAtMs: against.length === 0 ? undefined : Math.min(...against) };

  function waitsFor(reason: MoveReason, item: Item): 'window' | 'pace' | 'rest' | undefined {
    if (reason !== 'drain' && reason !== 'failback' && reason !== 'rebalance') return undefined;
    if (reason !== 'drain') {
      if (!policy.mayRebalance) return 'window';
      if (item.isResting) {
        against.push((item.address.movedAtMs ?? nowMs) + policy.restMs);
        return 'rest';
      }
      if (inHour <= 0) {
        if (recent.length > 0) against.push(Math.min(...recent) + hourMs);
        return 'pace';
      }
    }
    if (atOnce <= 0 || movesNow.has(item)) return 'pace';
    atOnce -= 1;
    if (reason !== 'drain') inHour -= 1;
    return undefined;
  }
}

/** Within a reason by turns of the node that it leaves, so that the fullest are relieved evenly. */
function inOrder(wanted: readonly WantedMove[]): readonly WantedMove[] {
  const turns = new Map<NodeName | undefined, number>();
  return wanted
    .map((move) => {
      const turn = turns.get(move.from) ?? 0;
      turns.set(move.from, turn + 1);
      return { move, turn };
    })
    .sort((a, b) => reasons.indexOf(a.move.reason) - reasons.indexOf(b.move.reason) || a.turn - b.turn)
    .map(({ move }) => move);
}
