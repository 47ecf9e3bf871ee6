/**
 * What the Leases say of the nodes, on the own monotonic clock and by change only. Pure.
 *
 * The times that a Lease bears are its writer's clock's, and are never compared with ours.
 */
import type { VipAddress } from '../model.ts';
import type { LeaseRecord, LeaseSighting } from './lease-model.ts';
import { notes, readGenerations } from './stored-assignment.ts';

export type NodeLife = 'alive' | 'released' | 'expired';

/** A Lease as it was seen now: its time begins anew when it has changed, and only then. */
export function sight(
  before: LeaseSighting | undefined,
  record: LeaseRecord | undefined,
  nowMs: number,
): LeaseSighting {
  const isSame = before !== undefined && before.record?.version === record?.version;
  return isSame ? before : { record, changedAtMs: nowMs };
}

/** When the node's own deadline is over for certain, but for the drift of the clocks. */
export const expiresAtMs = ({ record, changedAtMs }: LeaseSighting, defaultMs: number): number =>
  changedAtMs + (record?.durationMs ?? defaultMs);

export function lifeOf(sighting: LeaseSighting, nowMs: number, defaultMs: number): NodeLife {
  if (sighting.record?.holder === '') return 'released';
  return nowMs >= expiresAtMs(sighting, defaultMs) ? 'expired' : 'alive';
}

export const isAlive = (sighting: LeaseSighting, nowMs: number, defaultMs: number): boolean =>
  lifeOf(sighting, nowMs, defaultMs) === 'alive';

export const hasReleased = (sighting: LeaseSighting | undefined, address: VipAddress, generation: number): boolean =>
  readGenerations(sighting?.record?.notes[notes.released]).get(address) === generation;

/** Addresses that the node could not take under these generations. */
export const refusedBy = (sighting: LeaseSighting | undefined): ReadonlyMap<VipAddress, number> =>
  readGenerations(sighting?.record?.notes[notes.refused]);

/** Levels of traffic of what the node answers for. */
export const loadOf = (sighting: LeaseSighting | undefined): ReadonlyMap<VipAddress, number> =>
  readGenerations(sighting?.record?.notes[notes.load]);

/** It is about to end, and waits for others to take what it has. */
export const isLeaving = (sighting: LeaseSighting): boolean => sighting.record?.notes[notes.leaving] !== undefined;

export function capacityOf(sighting: LeaseSighting): number {
  const capacity = Number(sighting.record?.notes[notes.capacity] ?? '1');
  return Number.isFinite(capacity) && capacity > 0 ? capacity : 1;
}

export type LetGo = 'acknowledged' | 'released' | 'expired';

/**
 * Why a node may be taken an address from that is being revoked; undefined: it may not yet.
 *
 * Without an acknowledgement its Lease must be over, and must have been *read* to be unchanged after the
 * revocation was written: else it may have begun a new tenure and read the assignment before that.
 */
export function letGo(question: {
  readonly sighting: LeaseSighting | undefined;
  readonly address: VipAddress;
  readonly generation: number;
  readonly isConfirmed: boolean;
  readonly nowMs: number;
  readonly graceMs: number;
  readonly defaultMs: number;
}): LetGo | undefined {
  const { sighting, address, generation, isConfirmed, nowMs, graceMs, defaultMs } = question;
  if (hasReleased(sighting, address, generation)) return 'acknowledged';
  if (sighting === undefined || !isConfirmed) return undefined;
  if (sighting.record?.holder === '') return 'released';
  return nowMs >= expiresAtMs(sighting, defaultMs) + graceMs ? 'expired' : undefined;
}
