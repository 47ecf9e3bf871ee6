/** Why an address is where it is: what the planner sees for each node. Pure. */
import type { ExplainAnswer } from '../control-model.ts';
import type { VipAddress } from '../model.ts';
import { Board, type Item } from './board.ts';
import type { Plan, PlanAddress, PlanInput } from './plan-model.ts';
import { mayHold, takes } from './standing.ts';

/** @returns undefined for an address that there is not */
export function explainAddress(input: PlanInput, plan: Plan, address: VipAddress): ExplainAnswer | undefined {
  const board = new Board(input);
  const item = board.items.find((each) => each.address.address === address);
  if (item === undefined) return undefined;
  const owner = input.owners.get(address);
  board.restore(board.items.map((each) => board.numberOf(input.owners.get(each.address.address))));
  return {
    address,
    owner,
    verdict: verdictOf(item, owner, input, plan),
    nodes: board.nodes.map((node, number) => {
      const isOwner = node.name === owner;
      const may = mayHold(item.address, node.name) && (takes(node) || (isOwner && node.state === 'cordoned'));
      const cost = isOwner ? board.lossCost(number, item.weight) : board.gainCost(number, item.weight);
      return {
        name: node.name,
        may,
        load: board.loadOf(number),
        ...(may ? { cost } : {}),
        why: whyOf(item, isOwner, node),
      };
    }),
  };
}

function whyOf({ address }: Item, isOwner: boolean, { name, state, penalty }: Board['nodes'][number]): string {
  const marks = [
    ...(isOwner ? ['has it'] : []),
    ...(mayHold(address, name) ? [] : [`not eligible: ${reasonsOf(address)}`]),
    ...(state === 'ready' ? [] : [state]),
    ...(address.pinnedTo === name && address.use === undefined ? ['pinned to it'] : []),
    ...(address.preferred?.has(name) === true ? [`preferred by ${String(address.preferred.get(name))}`] : []),
    ...(penalty > 0 ? ['flaps: little that is new goes to it'] : []),
  ];
  return marks.join(', ') || 'may have it';
}

const reasonsOf = ({ use }: PlanAddress): string =>
  use === 'apiserver' ? 'no API server that is ready' : 'labels, endpoints or networks';

function verdictOf(
  { address: { address, pinnedTo, use } }: Item,
  owner: string | undefined,
  input: PlanInput,
  plan: Plan,
) {
  if (input.moving.has(address)) return 'its move is under way';
  const move = plan.moves.find((each) => each.address === address);
  if (move !== undefined) return `moves to ${move.to} now (${move.reason})`;
  if (plan.unassigned.includes(address)) return 'no eligible node is there';
  const later = plan.waiting.find((each) => each.address === address);
  if (later !== undefined) return `is to move to ${later.to} (${later.reason}), waits for ${later.until}`;
  if (use === 'apiserver' && pinnedTo === owner) return 'stays: the API servers’ own moves only when it has to';
  return pinnedTo !== undefined && pinnedTo === owner
    ? 'stays: it is pinned'
    : 'stays: no move would make the loads more even';
}
