/**
 * Which nodes come and go: how often the Lease of each was over, as the coordinator has found it. Pure.
 *
 * Only a Lease that was read again and is over counts, and once each time: while the API is away all seem to be
 * over, and nobody counts. Nor does a Lease that has not changed since the coordinator was elected: after an
 * outage that was longer than a Lease each is elected anew, and a node that comes back later than that has not
 * gone. A node that ends as it was told gives its Lease back, and does not flap.
 * A new coordinator begins to count anew.
 */
import type { NodeName } from '../model.ts';
import { flapped, forgottenAtMs, noPenalty, penaltyAt, type FlapPenalty } from '../plan/flap-penalty.ts';

export interface Flaps {
  readonly penalty: FlapPenalty;
  /** Of the Lease that was over last: its `resourceVersion`. */
  readonly version: string | undefined;
}

export type FlapsOf = ReadonlyMap<NodeName, Flaps>;

export interface FlapRules {
  readonly flapHalfLifeMs: number;
}

/** A node's Lease was read, and is over: under which `resourceVersion`. */
export function lostLease(
  flaps: FlapsOf,
  lost: { readonly node: NodeName; readonly version: string | undefined },
  { flapHalfLifeMs }: FlapRules,
  nowMs: number,
): FlapsOf {
  const { node, version } = lost;
  const before = flaps.get(node);
  if (before !== undefined && before.version === version) return flaps;
  const penalty = flapped(before?.penalty ?? noPenalty, nowMs, flapHalfLifeMs);
  return new Map([...flaps, [node, { penalty, version }]]);
}

export function penaltyOf(flaps: FlapsOf, node: NodeName, { flapHalfLifeMs }: FlapRules, nowMs: number): number {
  const known = flaps.get(node);
  return known === undefined ? 0 : penaltyAt(known.penalty, nowMs, flapHalfLifeMs);
}

/** When nodes have their full share again; the planner has to be asked then. */
export function forgottenTimes(flaps: FlapsOf, { flapHalfLifeMs }: FlapRules, nowMs: number): readonly number[] {
  return [...flaps.values()].flatMap(({ penalty }) => forgottenAtMs(penalty, nowMs, flapHalfLifeMs) ?? []);
}
