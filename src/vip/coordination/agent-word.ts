/** What the agent says on the node's Lease: that it is ready for an address, has let it go, or could not take it; and its load. */
import type { VipAddress } from '../model.ts';
import type { AgentDraft } from './agent-draft.ts';
import type { LeaseNotes } from './lease-model.ts';
import { generationsText, notes } from './stored-assignment.ts';

/** What the node says of itself, whatever it holds. */
export const ownNotes = ({ state, rules }: AgentDraft): LeaseNotes => ({
  ...rules.notes,
  ...(state.levels.size === 0 ? {} : { [notes.load]: generationsText(state.levels) }),
  ...(state.isApiServerReady ? { [notes.apiServerReady]: 'true' } : {}),
});

export function publish(draft: AgentDraft): void {
  const { view, holdings, refusals, allowed, isLeaving } = draft.state;
  if (allowed === undefined) return;
  const prepared = new Map<VipAddress, number>();
  const released = new Map<VipAddress, number>();
  const refused = new Map<VipAddress, number>();
  for (const { address, owner, state, generation } of view?.grants.values() ?? []) {
    const phase = holdings.get(address)?.phase;
    const isOwner = owner === draft.rules.node;
    const refusal = refusals.get(address);
    if (phase === 'ready' && draft.isHeir(address)) prepared.set(address, generation);
    const isSilent = phase === undefined || phase === 'silent' || phase === 'dropping';
    if (isOwner && state === 'revoking' && isSilent) released.set(address, generation);
    // Until it tries again it says so, also when it is not named any more and another one has been granted the
    // address meanwhile: else it would be named again at once.
    const isCurrent =
      isOwner && state === 'granted' ? refusal?.generation === generation : draft.nowMs < (refusal?.againAtMs ?? 0);
    if (isCurrent) refused.set(address, generation);
  }
  const content = {
    ...ownNotes(draft),
    ...(isLeaving ? { [notes.leaving]: 'true' } : {}),
    ...(prepared.size === 0 ? {} : { [notes.prepared]: generationsText(prepared) }),
    ...(released.size === 0 ? {} : { [notes.released]: generationsText(released) }),
    ...(refused.size === 0 ? {} : { [notes.refused]: generationsText(refused) }),
  };
  const text = JSON.stringify(content);
  if (text === draft.state.published) return;
  draft.set({ published: text });
  draft.add({ type: 'publish', notes: content });
}
