/**
 * Decides which node holds which address: a pure function of what the Leases, the Services and the
 * stored assignment say. One request is under way at a time, so that each is decided on an answer.
 *
 * It need not be the only one to be safe: whoever writes does so by compare-and-swap, and on evidence
 * that stays true (an acknowledgement, a Lease that was over *after* the revocation). The coordinator's
 * Lease keeps two of them from hindering each other, no more. So where each address is elected by itself
 * (address-election), every node runs one, for what it was elected for.
 */
import { isDeepStrictEqual } from 'node:util';
import { unreachable } from '../../kernel/unreachable.ts';
import type { NodeName, VipAddress } from '../model.ts';
import type {
  CoordinatorEffect,
  CoordinatorEvent,
  CoordinatorInput,
  CoordinatorRules,
  CoordinatorState,
  CoordinatorStep,
  Stored,
} from './coordinator-model.ts';
import { refusedNames } from './api-server-vip.ts';
import { decidesOn, hasToDecide, newestOf } from './address-election.ts';
import { forgottenTimes, lostLease } from './flaps.ts';
import { lateAtMs, prepareWithinMs } from './heirs.ts';
import type { LeaseRecord, LeaseSighting } from './lease-model.ts';
import { competingFor, nextAssignment } from './next-assignment.ts';
import { expiresAtMs, isAlive, lifeOf, sight } from './node-evidence.ts';
import { electionOf } from './stored-assignment.ts';

const firstPauseMs = 50;
const longestPauseMs = 2000;
/** Each conflict is a success of another one; so many in a row are a mistake. */
const mostConflicts = 50;

export const newCoordinator: CoordinatorState = {
  epoch: undefined,
  electedAtMs: 0,
  isAfterOutage: false,
  leases: new Map(),
  isSynced: false,
  wanted: undefined,
  stored: undefined,
  confirmed: new Map(),
  call: undefined,
  calls: 0,
  pausedUntilMs: 0,
  failures: 0,
  wakeAtMs: undefined,
  movesAtMs: [],
  movedAtMs: new Map(),
  reasons: new Map(),
  plan: undefined,
  preparing: new Map(),
  flaps: new Map(),
  heardOf: new Set(),
  refusedNames: [],
  late: new Set(),
  view: undefined,
  holders: new Map(),
  elected: new Set(),
  competing: [],
};

/** Pure. */
export function stepCoordinator(
  state: CoordinatorState,
  input: CoordinatorInput,
  rules: CoordinatorRules,
  nowMs: number,
): CoordinatorStep {
  const draft = new CoordinatorDraft(state, rules, nowMs);
  draft.take(input);
  draft.decide();
  draft.compete();
  return draft.step();
}

class CoordinatorDraft {
  #state: CoordinatorState;
  readonly #rules: CoordinatorRules;
  readonly #nowMs: number;
  readonly #effects: CoordinatorEffect[] = [];
  /** A renewal that says nothing new: a hundred nodes send a hundred a second, and none of them is planned for. */
  #isRoutine = false;

  constructor(state: CoordinatorState, rules: CoordinatorRules, nowMs: number) {
    this.#state = state;
    this.#rules = rules;
    this.#nowMs = nowMs;
  }

  take(input: CoordinatorInput): void {
    switch (input.type) {
      case 'wake':
        return;
      case 'elected':
        // What was read before counts for nothing: another one may have written since.
        this.#set({
          epoch: input.epoch,
          electedAtMs: this.#nowMs,
          isAfterOutage: this.#isNobodyAlive(),
          stored: undefined,
          confirmed: new Map(),
          call: undefined,
          pausedUntilMs: 0,
          failures: 0,
          preparing: new Map(),
          late: new Set(),
          heardOf: new Set(),
        });
        this.#tell({ type: 'vip.coordinator', epoch: input.epoch, is: 'elected' });
        return;
      case 'deposed': {
        const { epoch } = this.#state;
        if (epoch !== undefined) this.#tell({ type: 'vip.coordinator', epoch, is: 'deposed' });
        this.#set({ epoch: undefined, stored: undefined, call: undefined, confirmed: new Map(), plan: undefined });
        return;
      }
      case 'lease':
        this.#sight(input.node, input.record);
        return;
      case 'synced':
        this.#set({ isSynced: true });
        return;
      case 'unsynced':
        this.#set({ isSynced: false });
        return;
      case 'seen': {
        const { assignment } = input;
        if (assignment.revision >= this.#seenRevision) this.#set({ view: assignment });
        return;
      }
      case 'address lease':
        this.#hold(input.address, input.holder);
        return;
      case 'address': {
        const elected = new Set(this.#state.elected);
        const preparing = new Map(this.#state.preparing);
        if (input.isElected) elected.add(input.address);
        else {
          elected.delete(input.address);
          preparing.delete(input.address);
        }
        this.#set({ elected, preparing });
        return;
      }
      case 'wanted':
        this.#set({ wanted: input.wanted });
        return;
      case 'read':
        if (!this.#ends(input.call)) return;
        // This is newer than whatever a watch has shown before, also when it was deleted meanwhile.
        this.#set({ view: input.stored.assignment });
        this.#store(input.stored);
        return;
      case 'written': {
        const draft = this.#state.call?.draft;
        if (!this.#ends(input.call) || draft === undefined) return;
        this.#store({ version: input.version, assignment: draft });
        this.#set({ failures: 0 });
        return;
      }
      case 'confirmed': {
        const node = this.#state.call?.node;
        if (!this.#ends(input.call) || node === undefined) return;
        this.#set({ failures: 0 });
        this.#confirm(node, input.record);
        return;
      }
      case 'failed':
        if (this.#ends(input.call)) this.#pause(input.text, input.isConflict === true);
        return;
      default:
        unreachable(input);
    }
  }

  /** Asks for, or writes, the one thing that is due. */
  decide(): void {
    const { epoch, stored, call, wanted, isSynced, pausedUntilMs } = this.#state;
    if (!hasToDecide(this.#state, this.#rules) || call !== undefined || this.#nowMs < pausedUntilMs) return;
    if (this.#isRoutine && !this.#isDue()) return;
    if (stored === undefined || stored.assignment.revision < this.#seenRevision) {
      this.#effects.push({ type: 'read', call: this.#call({ kind: 'read' }) });
      return;
    }
    if (wanted === undefined || !isSynced) return;
    this.#missOwners(stored);
    if (epoch !== undefined) this.#refuseNames();
    if (this.#isAwaitingOwners(stored)) return;
    const next = nextAssignment(this.#state, this.#rules, this.#nowMs);
    if (next === undefined) return;
    const { assignment, events, plan, isChanged, reasons, preparing, late } = next;
    const { plan: before } = this.#state;
    const isTold = plan !== undefined && epoch !== undefined;
    if (isTold && plan.unassigned.join(' ') !== (before?.unassigned.join(' ') ?? '')) {
      this.#tell({ type: 'vip.unassigned', addresses: plan.unassigned });
    }
    this.#set({ plan, preparing, late });
    if (isChanged) {
      // Told when they are decided; what became of the write is told if it fails.
      for (const event of events) this.#tell(event);
      const begun = events.filter(
        (event) => event.type === 'vip.move' && event.is === 'revoking' && isVoluntary(event.reason),
      );
      this.#set({
        reasons,
        movesAtMs: [...this.#state.movesAtMs.slice(-1000), ...begun.map(() => this.#nowMs)],
        movedAtMs: new Map([
          ...this.#state.movedAtMs,
          ...events.flatMap((event) =>
            event.type === 'vip.move' && event.is === 'granted' ? [[event.address, this.#nowMs] as const] : [],
          ),
        ]),
      });
      const id = this.#call({ kind: 'write', draft: assignment });
      this.#effects.push({ type: 'write', call: id, version: stored.version, assignment });
      return;
    }
    const node = this.#toConfirm(stored);
    if (node === undefined) this.#set({ failures: 0 });
    else this.#effects.push({ type: 'confirm', call: this.#call({ kind: 'confirm', node }), node });
  }

  /** Says which Leases of addresses are to be held here, when that has changed. */
  compete(): void {
    if (this.#isRoutine && !this.#isDue()) return;
    const competing = competingFor(this.#state, this.#rules, this.#nowMs);
    if (isDeepStrictEqual(competing, this.#state.competing)) return;
    this.#set({ competing });
    this.#effects.push({ type: 'compete', candidacies: competing });
  }

  /** A renewal that comes when something is due takes the place of the timer, which is set anew after it. */
  #isDue(): boolean {
    const { wakeAtMs } = this.#state;
    return wakeAtMs !== undefined && this.#nowMs >= wakeAtMs;
  }

  step(): CoordinatorStep {
    const wakeAtMs = this.#wakeAtMs();
    this.#set({ wakeAtMs });
    return { state: this.#state, effects: this.#effects, wakeAtMs };
  }

  #refuseNames(): void {
    const before = this.#state.refusedNames;
    const refused = refusedNames(this.#state, this.#rules.leaseDurationMs, this.#nowMs);
    if (isDeepStrictEqual(refused, before)) return;
    this.#set({ refusedNames: refused });
    for (const each of refused) {
      if (!before.some((one) => isDeepStrictEqual(one, each))) this.#tell({ type: 'vip.name-refused', ...each });
    }
  }

  /** An owner who has no Lease at all: his time begins when he is first missed. */
  #missOwners({ assignment }: Stored): void {
    const missing = [...assignment.grants.values()].filter(({ owner }) => !this.#state.leases.has(owner));
    if (missing.length === 0) return;
    const leases = new Map(this.#state.leases);
    for (const { owner } of missing) leases.set(owner, { record: undefined, changedAtMs: this.#nowMs });
    this.#set({ leases });
  }

  get #seenRevision(): number {
    return this.#state.view?.revision ?? 0;
  }

  #isAlive(sighting: LeaseSighting | undefined): boolean {
    return sighting !== undefined && isAlive(sighting, this.#nowMs, this.#rules.leaseDurationMs);
  }

  #isNobodyAlive(): boolean {
    const { leases } = this.#state;
    return leases.size > 0 && ![...leases.values()].some((sighting) => this.#isAlive(sighting));
  }

  /** Whoever is first to have its Leases again after an outage would else take everything from all others. */
  #isAwaitingOwners({ assignment }: Stored): boolean {
    const { epoch, electedAtMs, isAfterOutage, leases } = this.#state;
    if (epoch === undefined || !isAfterOutage || this.#nowMs >= electedAtMs + this.#rules.leaseDurationMs) return false;
    return [...assignment.grants.values()].some(({ owner }) => !this.#isAlive(leases.get(owner)));
  }

  #sight(node: NodeName, record: LeaseRecord | undefined): void {
    const before = this.#state.leases.get(node);
    const sighting = sight(before, record, this.#nowMs);
    if (sighting === before) {
      this.#isRoutine = true;
      return;
    }
    // The first look at a Lease is no change of it.
    if (before !== undefined) this.#hearOf(node);
    const { leaseDurationMs } = this.#rules;
    const was = before === undefined ? undefined : lifeOf(before, this.#nowMs, leaseDurationMs);
    const is = lifeOf(sighting, this.#nowMs, leaseDurationMs);
    if (was !== is) this.#tell({ type: 'vip.node', node, is });
    const isNoNews = was === 'alive' && is === 'alive' && saysSame(before?.record, record);
    this.#isRoutine = isNoNews && !this.#state.late.has(node);
    const confirmed = new Map(this.#state.confirmed);
    confirmed.delete(node);
    this.#set({ leases: new Map([...this.#state.leases, [node, sighting]]), confirmed });
  }

  #hearOf(node: NodeName): void {
    const { heardOf } = this.#state;
    if (!heardOf.has(node)) this.#set({ heardOf: new Set([...heardOf, node]) });
  }

  #hold(address: VipAddress, holder: string | undefined): void {
    const { holders: before } = this.#state;
    this.#isRoutine = before.get(address) === holder;
    if (this.#isRoutine) return;
    const holders = new Map(before);
    if (holder === undefined || holder === '') holders.delete(address);
    else holders.set(address, holder);
    this.#set({ holders });
  }

  /** The read was sent after the assignment of now was written: see `letGo`. */
  #confirm(node: NodeName, record: LeaseRecord | undefined): void {
    const sighting = this.#state.leases.get(node);
    if (sighting !== undefined && sighting.record?.version === record?.version) {
      const { confirmed, flaps, heardOf } = this.#state;
      const isLost = heardOf.has(node) && lifeOf(sighting, this.#nowMs, this.#rules.leaseDurationMs) === 'expired';
      this.#set({
        confirmed: new Map([...confirmed, [node, { version: record?.version }]]),
        flaps: isLost ? lostLease(flaps, { node, version: record?.version }, this.#rules, this.#nowMs) : flaps,
      });
      return;
    }
    this.#sight(node, record);
    // An answer that was waited for, whatever it says.
    this.#isRoutine = false;
  }

  /** A confirmation counts for what was being revoked when it was asked for, and for nothing later. */
  #store(stored: Stored): void {
    const before = this.#state.stored?.assignment;
    const confirmed = new Map(this.#state.confirmed);
    for (const { address, owner, state, generation } of stored.assignment.grants.values()) {
      const earlier = before?.grants.get(address);
      const isNew = earlier?.state !== 'revoking' || earlier.generation !== generation;
      if (state === 'revoking' && isNew) confirmed.delete(owner);
    }
    this.#set({ stored, confirmed });
  }

  /** An owner of something that is being revoked who seems to be gone, and was not yet asked about. */
  #toConfirm({ assignment }: Stored): NodeName | undefined {
    const { leases, confirmed } = this.#state;
    const way = electionOf(assignment);
    for (const { address, owner, state } of assignment.grants.values()) {
      const sighting = leases.get(owner);
      if (state !== 'revoking' || sighting === undefined || confirmed.has(owner)) continue;
      if (!decidesOn(this.#state, this.#rules, { address, way, nowMs: this.#nowMs })) continue;
      const isOver =
        sighting.record?.holder === '' ||
        this.#nowMs >= expiresAtMs(sighting, this.#rules.leaseDurationMs) + this.#rules.graceMs;
      if (isOver) return owner;
    }
    return undefined;
  }

  #pause(text: string, isConflict: boolean): void {
    const failures = this.#state.failures + 1;
    const pauseMs = Math.min(firstPauseMs * 2 ** Math.min(failures - 1, 10), longestPauseMs);
    // Where several write, that is how they take turns.
    const isTurn = isConflict && failures < mostConflicts && electionOf(newestOf(this.#state)) === 'per-service';
    // The write may have happened, or another's: what is stored has to be read again.
    this.#set({
      stored: undefined,
      confirmed: new Map(),
      failures,
      pausedUntilMs: this.#nowMs + (failures === 1 || isTurn ? 0 : pauseMs),
    });
    if (!isTurn) this.#tell({ type: 'vip.coordinator-failed', text });
  }

  #wakeAtMs(): number | undefined {
    const { epoch, electedAtMs, leases, pausedUntilMs, call, plan, preparing, flaps } = this.#state;
    const isIdle = epoch === undefined && electionOf(newestOf(this.#state)) === 'coordinator';
    if (isIdle || call !== undefined) return undefined;
    if (pausedUntilMs > this.#nowMs) return pausedUntilMs;
    const { leaseDurationMs, graceMs } = this.#rules;
    const times = [...leases.values()].flatMap((sighting) => {
      const endMs = expiresAtMs(sighting, leaseDurationMs);
      return [lateAtMs(sighting, leaseDurationMs), endMs, endMs + graceMs];
    });
    for (const { sinceMs } of preparing.values()) times.push(sinceMs + prepareWithinMs);
    if (epoch !== undefined) times.push(electedAtMs + leaseDurationMs);
    if (plan?.againAtMs !== undefined) times.push(plan.againAtMs);
    times.push(...forgottenTimes(flaps, this.#rules, this.#nowMs));
    const future = times.filter((atMs) => atMs > this.#nowMs);
    return future.length === 0 ? undefined : Math.min(...future);
  }

  #ends(id: number): boolean {
    if (this.#state.call?.id !== id) return false;
    this.#set({ call: undefined });
    return true;
  }

  #call(call: Omit<NonNullable<CoordinatorState['call']>, 'id'>): number {
    const id = this.#state.calls + 1;
    this.#set({ calls: id, call: { id, ...call } });
    return id;
  }

  #tell(event: CoordinatorEvent): void {
    this.#effects.push({ type: 'tell', event });
  }

  #set(change: Partial<CoordinatorState>): void {
    this.#state = { ...this.#state, ...change };
  }
}

const isVoluntary = (reason: string): boolean => reason === 'rebalance' || reason === 'failback';

/** Whether two versions of a Lease differ in nothing but their time. */
function saysSame(a: LeaseRecord | undefined, b: LeaseRecord | undefined): boolean {
  return a?.holder === b?.holder && JSON.stringify(a?.notes) === JSON.stringify(b?.notes);
}
