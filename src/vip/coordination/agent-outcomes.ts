/** What the actuator's answers mean for the agent: what is there, what was refused, and what has failed. */
import type { TakeOutcome, TakeRefusal } from '../actuator.ts';
import type { VipAddress } from '../model.ts';
import type { AgentDraft } from './agent-draft.ts';
import type { AgentInput, HoldingPhase } from './agent-model.ts';

/** An address that somebody else answers for, or that the kernel refused, is tried again after this. */
const refusedAgainMs = 5000;
/** A kernel that has said no so often in a row is believed: the address is refused, and another node may have it. */
const failuresToRefuse = 3;
/** A kernel that says no to a removal is asked again. */
const failedPauseMs = 200;

/** What the actuator was asked for is there, or was refused. */
export function onArrived(
  draft: AgentDraft,
  outcomes: readonly TakeOutcome[],
  { from, to, type }: { from: HoldingPhase; to: HoldingPhase; type: 'vip.prepared' | 'vip.taken' },
): void {
  for (const { address, refused } of outcomes) {
    const holding = draft.state.holdings.get(address);
    if (holding?.phase !== from) continue;
    const { generation, sinceMs } = holding;
    if (refused !== undefined) {
      refuse(draft, address, generation, refused);
      continue;
    }
    accept(draft, address);
    draft.move(address, to);
    draft.tell({ type, address, generation, tookMs: draft.nowMs - sinceMs });
  }
}

export function onDropped(draft: AgentDraft, addresses: readonly VipAddress[]): void {
  const { holdings } = draft.state;
  for (const address of addresses) {
    const holding = holdings.get(address);
    if (holding?.phase !== 'dropping') continue;
    draft.forget(address);
    draft.tell({ type: 'vip.dropped', address, generation: holding.generation });
  }
}

export function onFailed(draft: AgentDraft, { at, addresses, reason }: Extract<AgentInput, { type: 'failed' }>): void {
  draft.tell({ type: 'vip.actuator-failed', at, reason });
  draft.set({ pausedUntilMs: draft.nowMs + failedPauseMs });
  // What was dropped was silent before. Of the rest nobody knows what the kernel has: what is granted is taken anew.
  for (const address of addresses) draft.move(address, at === 'drop' ? 'silent' : 'unsure');
  // One that was broken off because the Lease was lost says nothing of the kernel.
  const isOurs = draft.state.allowed !== undefined;
  if (isOurs && (at === 'take' || at === 'prepare'))
    for (const address of addresses) countFailure(draft, address, reason);
  const { ending } = draft.state;
  if (at === 'verify' && ending !== undefined) draft.set({ ending: { ...ending, isVerifying: false } });
}

export function onVerified(draft: AgentDraft, left: readonly VipAddress[]): void {
  const { ending } = draft.state;
  if (ending?.isVerifying !== true) return;
  if (left.length === 0) {
    draft.set({ ending: undefined, published: '' });
    draft.tell({ type: 'vip.withdrawn', tenure: ending.tenure });
    draft.add({ type: 'withdrawn', tenure: ending.tenure });
    return;
  }
  // Something of ours that we did not know of: it goes the same way.
  draft.set({ ending: { ...ending, isVerifying: false } });
  for (const address of left) draft.put(address, { generation: 0, phase: 'unsure', sinceMs: draft.nowMs });
}

function refuse(draft: AgentDraft, address: VipAddress, generation: number, refusal: TakeRefusal): void {
  draft.forget(address);
  noteRefusal(draft, address, generation, refusal);
}

function noteRefusal(draft: AgentDraft, address: VipAddress, generation: number, refusal: TakeRefusal): void {
  const refused = { generation, refusal, againAtMs: draft.nowMs + refusedAgainMs };
  draft.set({ refusals: new Map([...draft.state.refusals, [address, refused]]) });
  draft.tell({ type: 'vip.refused', address, generation, refusal });
}

/** What was once refused and is here now is not said to be refused any more. */
function accept(draft: AgentDraft, address: VipAddress): void {
  const { refusals, failures } = draft.state;
  const others = <T>(all: ReadonlyMap<VipAddress, T>) => new Map([...all].filter(([each]) => each !== address));
  if (refusals.has(address)) draft.set({ refusals: others(refusals) });
  if (failures.has(address)) draft.set({ failures: others(failures) });
}

/** It stays `unsure`, and is silenced all the same. */
function countFailure(draft: AgentDraft, address: VipAddress, reason: string): void {
  const { failures, holdings } = draft.state;
  const count = (failures.get(address) ?? 0) + 1;
  draft.set({ failures: new Map([...failures, [address, count]]) });
  const holding = holdings.get(address);
  if (holding === undefined || count < failuresToRefuse) return;
  noteRefusal(draft, address, holding.generation, { kind: 'failed', reason });
}
