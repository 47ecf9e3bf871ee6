/**
 * Owners by election: each address has a Lease of its own, and who gets that gets the address. Pure.
 *
 * The Lease says who *is to have* the address, and no more. Who *may answer* for it is said by the same assignment
 * as when a coordinator decides, in the same two writes and on the same evidence (next-assignment): its holder
 * makes them, for this address alone and to himself alone. So two who both think that they hold the Lease may
 * take an address from each other, and never answer for it at the same time.
 *
 * - A node competes for what it may have and no living node may keep. So an owner loses nothing to a race.
 * - One that may not keep it (drained, about to end, not eligible, another one is pinned) gives its Lease up, and
 *   answers on until whoever has got it is ready.
 * - The coordinator still gives addresses to Services, and takes back what nobody may have. It grants nothing.
 * - A cluster has one way at a time, which its assignment names. The coordinator changes it to its own when it has
 *   heard of no living node that was told the present one for the length of a Lease; until then whoever was told
 *   otherwise goes the way of the cluster.
 */
import type { Election, Grant, MoveReason, NodeName, VipAddress } from '../model.ts';
import { imbalanceOf } from '../plan/plan.ts';
import type { Plan, PlanAddress, PlanInput, PlanNode, PlannedMove } from '../plan/plan-model.ts';
import { hashOf, rendezvousScore } from '../plan/rendezvous.ts';
import { mayHold, pinOf, takes } from '../plan/standing.ts';
import type { CoordinatorRules, CoordinatorState } from './coordinator-model.ts';
import type { LeaseSighting } from './lease-model.ts';
import { isAlive } from './node-evidence.ts';
import { electionOf, notes, type StoredAssignment } from './stored-assignment.ts';

/** A read, a write, and until others have heard of it. */
const turnEveryMs = 50;
const mostTurns = 20;

type Nodes = ReadonlyMap<NodeName, PlanNode>;

/** What is known of the assignment, whoever has told it. */
export const newestOf = ({ stored, view }: CoordinatorState): StoredAssignment | undefined =>
  newer(stored?.assignment, view);

/** The one of the higher revision; of the same, the first. */
export function newer(one: StoredAssignment | undefined, other: StoredAssignment | undefined) {
  if (one === undefined || other === undefined) return one ?? other;
  return one.revision >= other.revision ? one : other;
}

/** The way that a node was told, as its Lease says. */
export const toldElection = ({ record }: LeaseSighting): Election =>
  record?.notes[notes.election] === 'per-service' ? 'per-service' : 'coordinator';

/** The way that the next version of the assignment names, if the coordinator writes it. */
export function nextElection(state: CoordinatorState, rules: CoordinatorRules, nowMs: number): Election {
  const { stored, epoch, electedAtMs, leases } = state;
  const own = rules.election ?? 'coordinator';
  const present = electionOf(stored?.assignment);
  if (epoch === undefined || present === own) return present;
  if (stored?.version === undefined) return own;
  // After an outage all others seem to be gone until they have renewed their Leases.
  if (nowMs < electedAtMs + rules.leaseDurationMs) return present;
  const isTold = [...leases.values()].some(
    (sighting) => isAlive(sighting, nowMs, rules.leaseDurationMs) && toldElection(sighting) === present,
  );
  return isTold ? present : own;
}

/** Whether this node makes the writes about an address. */
export function decidesOn(
  state: CoordinatorState,
  rules: CoordinatorRules,
  { address, way, nowMs }: { readonly address: VipAddress; readonly way: Election; readonly nowMs: number },
): boolean {
  const { epoch, elected, holders, leases } = state;
  if (way === 'coordinator') return epoch !== undefined;
  if (elected.has(address)) return true;
  if (epoch === undefined) return false;
  const holder = holders.get(address);
  if (holder === undefined) return true;
  return ![...leases.values()].some(
    (each) => each.record?.holder === holder && isAlive(each, nowMs, rules.leaseDurationMs),
  );
}

/** Whether there can be something to write here: a coordinator looks at everything, others at what they were elected for. */
export function hasToDecide(state: CoordinatorState, { node }: CoordinatorRules): boolean {
  if (state.epoch !== undefined) return true;
  const newest = newestOf(state);
  if (electionOf(newest) !== 'per-service') return false;
  const isSettled = (grant: Grant | undefined) => grant?.owner === node && grant.state === 'granted';
  return [...state.elected].some((address) => !isSettled(newest?.grants.get(address)));
}

/** - `takes`: competes for it. - `keeps`: has it as long as it lives, if it has it. - `leaves`: is to lose it. */
export type Stance = 'takes' | 'keeps' | 'leaves';

export function stanceOf(address: PlanAddress, name: NodeName, nodes: Nodes): Stance {
  const node = nodes.get(name);
  if (node === undefined || node.state === 'dead' || !mayHold(address, name)) return 'leaves';
  const pin = pinOf(address, nodes);
  if (pin !== undefined) return pin === name ? 'takes' : 'leaves';
  if (takes(node)) return 'takes';
  return node.state === 'cordoned' ? 'keeps' : 'leaves';
}

/** Whether a node is to hold the Lease of an address, or to try for it. */
export function competesFor(address: PlanAddress, name: NodeName, owner: NodeName | undefined, nodes: Nodes): boolean {
  const stance = stanceOf(address, name, nodes);
  if (owner === name) return stance !== 'leaves';
  return stance === 'takes' && (owner === undefined || stanceOf(address, owner, nodes) === 'leaves');
}

/**
 * How long after its Lease is free a node tries for it: by turns, in an order that each address has of its own. So
 * the first one mostly wins without a race, and a hundred addresses that become free together go to all nodes.
 */
export function turnMs(address: PlanAddress, name: NodeName, owner: NodeName | undefined, nodes: Nodes): number {
  if (owner === name) return 0;
  const hash = hashOf(address.address);
  const scoreOf = (node: NodeName) => rendezvousScore(hash, hashOf(node));
  const own = scoreOf(name);
  const before = [...nodes.keys()].filter(
    (each) => each !== owner && scoreOf(each) > own && stanceOf(address, each, nodes) === 'takes',
  );
  return Math.min(before.length, mostTurns) * turnEveryMs;
}

/** The moves of what this node was elected for, and what nobody may have; nothing is moved for balance. */
export function electedPlan(state: CoordinatorState, { node }: CoordinatorRules, input: PlanInput): Plan {
  const { addresses, owners } = input;
  const nodes: Nodes = new Map(input.nodes.map((each) => [each.name, each]));
  const living = input.nodes.filter((each) => each.state !== 'dead');
  const moves = addresses.flatMap((address): PlannedMove[] => {
    const from = owners.get(address.address);
    const isToMove = state.elected.has(address.address) && from !== node && stanceOf(address, node, nodes) === 'takes';
    return isToMove ? [{ address: address.address, from, to: node, reason: reasonOf(address, from, nodes) }] : [];
  });
  const unassigned = addresses.filter((each) => !living.some(({ name }) => mayHold(each, name)));
  const after = new Map([...owners, ...moves.map(({ address, to }) => [address, to] as const)]);
  for (const { address } of unassigned) after.delete(address);
  return {
    moves,
    waiting: [],
    unassigned: unassigned.map(({ address }) => address),
    owners: after,
    imbalance: imbalanceOf(input, after),
    violations: [],
    rebalancing: false,
  };
}

function reasonOf(address: PlanAddress, from: NodeName | undefined, nodes: Nodes): MoveReason {
  if (from === undefined) return 'new';
  const state = nodes.get(from)?.state ?? 'dead';
  if (state === 'dead') return 'dead';
  if (!mayHold(address, from)) return 'ineligible';
  if (pinOf(address, nodes) !== undefined) return 'pin';
  if (state === 'unready') return 'unready';
  return state === 'draining' ? 'drain' : 'elected';
}
