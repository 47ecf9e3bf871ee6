/**
 * What one node does about what it was granted: a pure function.
 *
 * The rule to speak: the newest assignment that was read *after* this tenure of the node's Lease began
 * grants the address to us, and our own deadline has not passed. On the way out the order is: silence,
 * drop, read back, and only then may the Lease be given back.
 *
 * An address is let go (acknowledged) when it is silent here and the revocation was seen: as what is
 * read never goes back, it will not be spoken for under that generation again.
 */
import { unreachable } from '../../kernel/unreachable.ts';
import { beginWhatIsDue, wakeAtMs } from './agent-begin.ts';
import { AgentDraft } from './agent-draft.ts';
import type { AgentInput, AgentRules, AgentState, AgentStep } from './agent-model.ts';
import { onArrived, onDropped, onFailed, onVerified } from './agent-outcomes.ts';
import { ownNotes } from './agent-word.ts';
import type { StoredAssignment } from './stored-assignment.ts';

const readAgainMs = 200;

export const newAgent: AgentState = {
  allowed: undefined,
  view: undefined,
  isFresh: false,
  holdings: new Map(),
  refusals: new Map(),
  failures: new Map(),
  reading: undefined,
  readAtMs: 0,
  calls: 0,
  ending: undefined,
  pausedUntilMs: 0,
  isLeaving: false,
  isApiServerReady: false,
  levels: new Map(),
  published: '',
};

/** Pure. */
export function stepAgent(state: AgentState, input: AgentInput, rules: AgentRules, nowMs: number): AgentStep {
  const draft = new AgentDraft(state, rules, nowMs);
  take(draft, input);
  beginWhatIsDue(draft);
  return { state: draft.state, effects: draft.effects, wakeAtMs: wakeAtMs(draft) };
}

function take(draft: AgentDraft, input: AgentInput): void {
  const { state } = draft;
  switch (input.type) {
    case 'wake':
      return;
    case 'allowed': {
      const { tenure, deadlineMs } = input;
      const isNew = state.allowed?.tenure !== tenure;
      draft.set({
        allowed: { tenure, deadlineMs },
        ...(isNew ? { isFresh: false, readAtMs: draft.nowMs, reading: undefined } : {}),
      });
      return;
    }
    case 'withdraw':
      draft.set({
        allowed: undefined,
        isFresh: false,
        reading: undefined,
        ending: { tenure: input.tenure, isVerifying: false },
      });
      return;
    case 'seen':
      see(draft, input.assignment);
      return;
    case 'read':
      if (state.reading?.call !== input.call) return;
      draft.set({ reading: undefined, isFresh: true });
      see(draft, input.assignment);
      return;
    case 'read failed':
      if (state.reading?.call === input.call) draft.set({ reading: undefined, readAtMs: draft.nowMs + readAgainMs });
      return;
    case 'leaving':
      draft.set({ isLeaving: true });
      return;
    case 'api server':
      draft.set({ isApiServerReady: input.isReady });
      // A Lease that is got, or got again, says it from its first moment.
      if (state.allowed === undefined) {
        draft.set({ published: '' });
        draft.add({ type: 'publish', notes: ownNotes(draft) });
      }
      return;
    case 'load':
      draft.set({ levels: input.levels });
      return;
    case 'prepared':
      onArrived(draft, input.outcomes, { from: 'preparing', to: 'ready', type: 'vip.prepared' });
      return;
    case 'taken':
      onArrived(draft, input.outcomes, { from: 'taking', to: 'open', type: 'vip.taken' });
      return;
    case 'silenced':
      for (const address of input.addresses) draft.move(address, 'silent', 'silencing');
      return;
    case 'dropped':
      onDropped(draft, input.addresses);
      return;
    case 'failed':
      onFailed(draft, input);
      return;
    case 'verified':
      onVerified(draft, input.left);
      return;
    default:
      unreachable(input);
  }
}

function see(draft: AgentDraft, assignment: StoredAssignment): void {
  const { view } = draft.state;
  if (view !== undefined && assignment.revision < view.revision) return;
  draft.set({ view: assignment });
}
