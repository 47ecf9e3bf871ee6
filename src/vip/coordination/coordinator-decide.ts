/** What the coordinator has to ask for, write or be woken for in its present state: one request at a time. */
import { isDeepStrictEqual } from 'node:util';
import type { NodeName } from '../model.ts';
import { decidesOn, hasToDecide, newestOf } from './address-election.ts';
import { refusedNames } from './api-server-vip.ts';
import type { CoordinatorDraft } from './coordinator-draft.ts';
import type { Stored } from './coordinator-model.ts';
import { isAfterOutage } from './coordinator-sight.ts';
import { forgottenTimes } from './flaps.ts';
import { lateAtMs, prepareWithinMs } from './heirs.ts';
import { competingFor, nextAssignment } from './next-assignment.ts';
import { expiresAtMs } from './node-evidence.ts';
import { electionOf } from './stored-assignment.ts';

/** Asks for, or writes, the one thing that is due. */
export function decide(draft: CoordinatorDraft): void {
  const { epoch, stored, call, wanted, isSynced, pausedUntilMs } = draft.state;
  if (!hasToDecide(draft.state, draft.rules) || call !== undefined || draft.nowMs < pausedUntilMs) return;
  if (draft.isRoutine && !draft.isDue()) return;
  if (stored === undefined || stored.assignment.revision < draft.seenRevision) {
    draft.add({ type: 'read', call: draft.call({ kind: 'read' }) });
    return;
  }
  if (wanted === undefined || !isSynced) return;
  missOwners(draft, stored);
  if (epoch !== undefined) refuseNames(draft);
  if (isAwaitingOwners(draft, stored)) return;
  const next = nextAssignment(draft.state, draft.rules, draft.nowMs);
  if (next === undefined) return;
  const { assignment, events, plan, isChanged, reasons, preparing, late, levels } = next;
  const { plan: before } = draft.state;
  const isTold = plan !== undefined && epoch !== undefined;
  if (isTold && plan.unassigned.join(' ') !== (before?.unassigned.join(' ') ?? '')) {
    draft.tell({ type: 'vip.unassigned', addresses: plan.unassigned });
  }
  draft.set({ plan, preparing, late, levels, weighAtMs: undefined });
  if (isChanged) {
    // Told when they are decided; what became of the write is told if it fails.
    for (const event of events) draft.tell(event);
    const begun = events.filter(
      (event) => event.type === 'vip.move' && event.is === 'revoking' && isVoluntary(event.reason),
    );
    draft.set({
      reasons,
      movesAtMs: [...draft.state.movesAtMs.slice(-1000), ...begun.map(() => draft.nowMs)],
      movedAtMs: new Map([
        ...draft.state.movedAtMs,
        ...events.flatMap((event) =>
          event.type === 'vip.move' && event.is === 'granted' ? [[event.address, draft.nowMs] as const] : [],
        ),
      ]),
    });
    const id = draft.call({ kind: 'write', draft: assignment });
    draft.add({ type: 'write', call: id, version: stored.version, assignment });
    return;
  }
  const node = toConfirm(draft, stored);
  if (node === undefined) draft.set({ failures: 0 });
  else draft.add({ type: 'confirm', call: draft.call({ kind: 'confirm', node }), node });
}

/** Says which Leases of addresses are to be held here, when that has changed. */
export function compete(draft: CoordinatorDraft): void {
  if (draft.isRoutine && !draft.isDue()) return;
  const competing = competingFor(draft.state, draft.rules, draft.nowMs);
  if (isDeepStrictEqual(competing, draft.state.competing)) return;
  draft.set({ competing });
  draft.add({ type: 'compete', candidacies: competing });
}

export function wakeAtMs(draft: CoordinatorDraft): number | undefined {
  const { epoch, electedAtMs, heardAgainAtMs, leases, pausedUntilMs, call, plan, preparing, flaps, weighAtMs } =
    draft.state;
  const isIdle = epoch === undefined && electionOf(newestOf(draft.state)) === 'coordinator';
  if (isIdle || call !== undefined) return undefined;
  if (pausedUntilMs > draft.nowMs) return pausedUntilMs;
  const { leaseDurationMs, graceMs } = draft.rules;
  const times = [...leases.values()].flatMap((sighting) => {
    const endMs = expiresAtMs(sighting, leaseDurationMs);
    return [lateAtMs(sighting, leaseDurationMs), endMs, endMs + graceMs];
  });
  for (const { sinceMs } of preparing.values()) times.push(sinceMs + prepareWithinMs);
  if (epoch !== undefined) times.push(electedAtMs + leaseDurationMs);
  if (heardAgainAtMs !== undefined) times.push(heardAgainAtMs + leaseDurationMs);
  if (plan?.againAtMs !== undefined) times.push(plan.againAtMs);
  if (weighAtMs !== undefined) times.push(weighAtMs);
  times.push(...forgottenTimes(flaps, draft.rules, draft.nowMs));
  const future = times.filter((atMs) => atMs > draft.nowMs);
  return future.length === 0 ? undefined : Math.min(...future);
}

function refuseNames(draft: CoordinatorDraft): void {
  const before = draft.state.refusedNames;
  const refused = refusedNames(draft.state, draft.rules.leaseDurationMs, draft.nowMs);
  if (isDeepStrictEqual(refused, before)) return;
  draft.set({ refusedNames: refused });
  for (const each of refused) {
    if (!before.some((one) => isDeepStrictEqual(one, each))) draft.tell({ type: 'vip.name-refused', ...each });
  }
}

/** An owner who has no Lease at all: his time begins when he is first missed. */
function missOwners(draft: CoordinatorDraft, { assignment }: Stored): void {
  const missing = [...assignment.grants.values()].filter(({ owner }) => !draft.state.leases.has(owner));
  if (missing.length === 0) return;
  const leases = new Map(draft.state.leases);
  for (const { owner } of missing) leases.set(owner, { record: undefined, changedAtMs: draft.nowMs });
  draft.set({ leases });
}

/** Whoever is first to have its Leases again after an outage would else take everything from all others. */
function isAwaitingOwners(draft: CoordinatorDraft, { assignment }: Stored): boolean {
  const { epoch, leases } = draft.state;
  if (epoch === undefined || !isAfterOutage(draft)) return false;
  return [...assignment.grants.values()].some(({ owner }) => !draft.isAlive(leases.get(owner)));
}

/** An owner of something that is being revoked who seems to be gone, and was not yet asked about. */
function toConfirm(draft: CoordinatorDraft, { assignment }: Stored): NodeName | undefined {
  const { leases, confirmed } = draft.state;
  const way = electionOf(assignment);
  for (const { address, owner, state } of assignment.grants.values()) {
    const sighting = leases.get(owner);
    if (state !== 'revoking' || sighting === undefined || confirmed.has(owner)) continue;
    if (!decidesOn(draft.state, draft.rules, { address, way, nowMs: draft.nowMs })) continue;
    const isOver =
      sighting.record?.holder === '' ||
      draft.nowMs >= expiresAtMs(sighting, draft.rules.leaseDurationMs) + draft.rules.graceMs;
    if (isOver) return owner;
  }
  return undefined;
}

const isVoluntary = (reason: string): boolean => reason === 'rebalance' || reason === 'failback';
