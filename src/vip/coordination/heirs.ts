/**
 * Who is to be ready for an address before its owner lets go, so that the hand-over itself is short. Pure.
 *
 * A planned move waits until the heir has said that it is ready, or for a while: then the owner is revoked
 * all the same. Of a node whose Lease was not renewed in time the heirs are named before it is over; if it
 * is renewed after all, they are told to forget it. An heir has no right to anything, so that nothing here
 * can make two answer.
 */
import type { Grant, NodeName, VipAddress } from '../model.ts';
import type { Plan, PlanInput } from '../plan/plan-model.ts';
import type { CoordinatorState } from './coordinator-model.ts';
import type { LeaseSighting } from './lease-model.ts';
import { expiresAtMs } from './node-evidence.ts';
import { notes, readGenerations } from './stored-assignment.ts';

/** One that has not said that it is ready by then is given the address as it is. */
export const prepareWithinMs = 1000;
/** Before a Lease is over: asking the link takes 150 ms, and the assignment has to get there. */
const lateLeadMs = 400;

export function isReady(
  { leases, preparing }: CoordinatorState,
  { address, generation, heir }: Grant,
  to: NodeName,
  nowMs: number,
): boolean {
  if (heir !== to) return false;
  const said = readGenerations(leases.get(to)?.record?.notes[notes.prepared]);
  if (said.get(address) === generation) return true;
  const since = preparing.get(address);
  return since?.to === to && nowMs >= since.sinceMs + prepareWithinMs;
}

/** When a node counts as late: its Lease was to be renewed long before, and is not over yet. */
export function lateAtMs(sighting: LeaseSighting, defaultMs: number): number {
  const endMs = expiresAtMs(sighting, defaultMs);
  return endMs - Math.min(lateLeadMs, (endMs - sighting.changedAtMs) / 3);
}

/** Owners of something that are late. */
export function lateOwners(
  { leases, stored }: CoordinatorState,
  alive: ReadonlySet<NodeName>,
  defaultMs: number,
  nowMs: number,
): ReadonlySet<NodeName> {
  const late = new Set<NodeName>();
  for (const { owner, state } of stored?.assignment.grants.values() ?? []) {
    const sighting = leases.get(owner);
    if (state !== 'granted' || sighting === undefined || !alive.has(owner) || late.has(owner)) continue;
    if (sighting.record?.holder !== '' && nowMs >= lateAtMs(sighting, defaultMs)) late.add(owner);
  }
  return late;
}

/** Who would get what the late ones have, if they were dead now. */
export function heirsOf(
  late: ReadonlySet<NodeName>,
  input: PlanInput,
  plan: (input: PlanInput) => Plan,
): ReadonlyMap<VipAddress, NodeName> {
  if (late.size === 0) return new Map();
  const nodes = input.nodes.map((node) => (late.has(node.name) ? { ...node, state: 'dead' as const } : node));
  const moves = plan({ ...input, nodes }).moves.filter(({ reason }) => reason === 'dead');
  return new Map(moves.map(({ address, to }) => [address, to]));
}
