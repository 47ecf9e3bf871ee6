/** What Leases show the coordinator: who lives, who has come or gone, who holds an address's Lease. */
import type { NodeName, VipAddress } from '../model.ts';
import type { CoordinatorDraft } from './coordinator-draft.ts';
import { lostLease } from './flaps.ts';
import type { LeaseRecord } from './lease-model.ts';
import { lifeOf, sight } from './node-evidence.ts';
import { notes, patientNotes } from './stored-assignment.ts';

/** Each node tells of its traffic six times a minute: what a hundred have told is planned for at once. */
const weighAfterMs = 10_000;

export function sightLease(draft: CoordinatorDraft, node: NodeName, record: LeaseRecord | undefined): void {
  const before = draft.state.leases.get(node);
  const sighting = sight(before, record, draft.nowMs);
  if (sighting === before) {
    draft.isRoutine = true;
    return;
  }
  // Leases may be back before this node is elected.
  if (draft.isAlive(sighting)) hearAgain(draft);
  // The first look at a Lease is no change of it.
  if (before !== undefined) hearOf(draft, node);
  const { leaseDurationMs } = draft.rules;
  const was = before === undefined ? undefined : lifeOf(before, draft.nowMs, leaseDurationMs);
  const is = lifeOf(sighting, draft.nowMs, leaseDurationMs);
  if (was !== is) draft.tell({ type: 'vip.node', node, is });
  if (before?.record?.notes[notes.load] !== record?.notes[notes.load]) weighSoon(draft);
  const isNoNews = was === 'alive' && is === 'alive' && saysSame(before?.record, record);
  draft.isRoutine = isNoNews && !draft.state.late.has(node);
  const confirmed = new Map(draft.state.confirmed);
  confirmed.delete(node);
  draft.set({ leases: new Map([...draft.state.leases, [node, sighting]]), confirmed });
}

export function hold(draft: CoordinatorDraft, address: VipAddress, holder: string | undefined): void {
  const { holders: before } = draft.state;
  draft.isRoutine = before.get(address) === holder;
  if (draft.isRoutine) return;
  const holders = new Map(before);
  if (holder === undefined || holder === '') holders.delete(address);
  else holders.set(address, holder);
  draft.set({ holders });
}

/** The read was sent after the assignment of now was written: see `letGo`. */
export function confirm(draft: CoordinatorDraft, node: NodeName, record: LeaseRecord | undefined): void {
  const sighting = draft.state.leases.get(node);
  if (sighting !== undefined && sighting.record?.version === record?.version) {
    const { confirmed, flaps, heardOf } = draft.state;
    const isLost = heardOf.has(node) && lifeOf(sighting, draft.nowMs, draft.rules.leaseDurationMs) === 'expired';
    draft.set({
      confirmed: new Map([...confirmed, [node, { version: record?.version }]]),
      flaps: isLost ? lostLease(flaps, { node, version: record?.version }, draft.rules, draft.nowMs) : flaps,
    });
    return;
  }
  sightLease(draft, node, record);
  // An answer that was waited for, whatever it says.
  draft.isRoutine = false;
}

function isNobodyAlive(draft: CoordinatorDraft): boolean {
  const { leases } = draft.state;
  return leases.size > 0 && ![...leases.values()].some((sighting) => draft.isAlive(sighting));
}

/** Whether owners still have time to come back. */
export function isAfterOutage(draft: CoordinatorDraft): boolean {
  const { heardAgainAtMs = -Infinity } = draft.state;
  return draft.nowMs < heardAgainAtMs + draft.rules.leaseDurationMs;
}

/** By the first sign that the API is there again: the time of the owners begins. */
export function hearAgain(draft: CoordinatorDraft): void {
  if (isNobodyAlive(draft) && !isAfterOutage(draft)) draft.set({ heardAgainAtMs: draft.nowMs });
}

function weighSoon(draft: CoordinatorDraft): void {
  const { weighAtMs = -Infinity } = draft.state;
  if (draft.rules.balance !== 'load' || weighAtMs > draft.nowMs) return;
  draft.set({ weighAtMs: draft.nowMs + weighAfterMs });
}

function hearOf(draft: CoordinatorDraft, node: NodeName): void {
  const { heardOf } = draft.state;
  if (!heardOf.has(node)) draft.set({ heardOf: new Set([...heardOf, node]) });
}

/** Whether two versions of a Lease differ in nothing but their time, and what waits. */
function saysSame(a: LeaseRecord | undefined, b: LeaseRecord | undefined): boolean {
  const urgent = (record?: LeaseRecord) =>
    JSON.stringify(record?.notes, (key, value: unknown) => (patientNotes.has(key) ? undefined : value));
  return a?.holder === b?.holder && urgent(a) === urgent(b);
}
