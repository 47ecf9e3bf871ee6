/**
 * Decides which node holds which address: a pure function of what the Leases, the Services and the
 * stored assignment say. One request is under way at a time, so that each is decided on an answer.
 *
 * It need not be the only one to be safe: whoever writes does so by compare-and-swap, and on evidence
 * that stays true (an acknowledgement, a Lease that was over *after* the revocation). The coordinator's
 * Lease keeps two of them from hindering each other, no more. So where each address is elected by itself
 * (address-election), every node runs one, for what it was elected for.
 */
import { unreachable } from '../../kernel/unreachable.ts';
import { compete, decide, wakeAtMs } from './coordinator-decide.ts';
import { CoordinatorDraft } from './coordinator-draft.ts';
import type {
  CoordinatorInput,
  CoordinatorRules,
  CoordinatorState,
  CoordinatorStep,
  Stored,
} from './coordinator-model.ts';
import { newestOf } from './address-election.ts';
import { confirm, hearAgain, hold, sightLease } from './coordinator-sight.ts';
import { electionOf } from './stored-assignment.ts';

const firstPauseMs = 50;
const longestPauseMs = 2000;
/** Each conflict is a success of another one; so many in a row are a mistake. */
const mostConflicts = 50;

export const newCoordinator: CoordinatorState = {
  epoch: undefined,
  electedAtMs: 0,
  heardAgainAtMs: undefined,
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
  levels: new Map(),
  weighAtMs: undefined,
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
  take(draft, input);
  decide(draft);
  compete(draft);
  const nextMs = wakeAtMs(draft);
  draft.set({ wakeAtMs: nextMs });
  return { state: draft.state, effects: draft.effects, wakeAtMs: nextMs };
}

function take(draft: CoordinatorDraft, input: CoordinatorInput): void {
  switch (input.type) {
    case 'wake':
      return;
    case 'elected':
      hearAgain(draft);
      // What was read before counts for nothing: another one may have written since.
      draft.set({
        epoch: input.epoch,
        electedAtMs: draft.nowMs,
        stored: undefined,
        confirmed: new Map(),
        call: undefined,
        pausedUntilMs: 0,
        failures: 0,
        preparing: new Map(),
        late: new Set(),
        heardOf: new Set(),
      });
      draft.tell({ type: 'vip.coordinator', epoch: input.epoch, is: 'elected' });
      return;
    case 'deposed': {
      const { epoch } = draft.state;
      if (epoch !== undefined) draft.tell({ type: 'vip.coordinator', epoch, is: 'deposed' });
      draft.set({ epoch: undefined, stored: undefined, call: undefined, confirmed: new Map(), plan: undefined });
      return;
    }
    case 'lease':
      sightLease(draft, input.node, input.record);
      return;
    case 'synced':
      draft.set({ isSynced: true });
      return;
    case 'unsynced':
      draft.set({ isSynced: false });
      return;
    case 'seen': {
      const { assignment } = input;
      if (assignment.revision >= draft.seenRevision) draft.set({ view: assignment });
      return;
    }
    case 'address lease':
      hold(draft, input.address, input.holder);
      return;
    case 'address': {
      const elected = new Set(draft.state.elected);
      const preparing = new Map(draft.state.preparing);
      if (input.isElected) elected.add(input.address);
      else {
        elected.delete(input.address);
        preparing.delete(input.address);
      }
      draft.set({ elected, preparing });
      return;
    }
    case 'wanted':
      draft.set({ wanted: input.wanted });
      return;
    case 'read':
      if (!draft.ends(input.call)) return;
      // This is newer than whatever a watch has shown before, also when it was deleted meanwhile.
      draft.set({ view: input.stored.assignment });
      store(draft, input.stored);
      return;
    case 'written': {
      const assignment = draft.state.call?.draft;
      if (!draft.ends(input.call) || assignment === undefined) return;
      store(draft, { version: input.version, assignment });
      draft.set({ failures: 0 });
      return;
    }
    case 'confirmed': {
      const node = draft.state.call?.node;
      if (!draft.ends(input.call) || node === undefined) return;
      draft.set({ failures: 0 });
      confirm(draft, node, input.record);
      return;
    }
    case 'failed':
      if (draft.ends(input.call)) pause(draft, input.text, input.isConflict === true);
      return;
    default:
      unreachable(input);
  }
}

/** A confirmation counts for what was being revoked when it was asked for, and for nothing later. */
function store(draft: CoordinatorDraft, stored: Stored): void {
  const before = draft.state.stored?.assignment;
  const confirmed = new Map(draft.state.confirmed);
  for (const { address, owner, state, generation } of stored.assignment.grants.values()) {
    const earlier = before?.grants.get(address);
    const isNew = earlier?.state !== 'revoking' || earlier.generation !== generation;
    if (state === 'revoking' && isNew) confirmed.delete(owner);
  }
  draft.set({ stored, confirmed });
}

function pause(draft: CoordinatorDraft, text: string, isConflict: boolean): void {
  const failures = draft.state.failures + 1;
  const pauseMs = Math.min(firstPauseMs * 2 ** Math.min(failures - 1, 10), longestPauseMs);
  // Where several write, that is how they take turns.
  const isTurn = isConflict && failures < mostConflicts && electionOf(newestOf(draft.state)) === 'per-service';
  // The write may have happened, or another's: what is stored has to be read again.
  draft.set({
    stored: undefined,
    confirmed: new Map(),
    failures,
    pausedUntilMs: draft.nowMs + (failures === 1 || isTurn ? 0 : pauseMs),
  });
  if (!isTurn) draft.tell({ type: 'vip.coordinator-failed', text });
}
