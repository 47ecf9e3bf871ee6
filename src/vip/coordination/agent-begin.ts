/** What the agent begins in its present state, and when it has to look again. */
import type { VipAddress } from '../model.ts';
import type { AgentDraft } from './agent-draft.ts';
import type { Holding } from './agent-model.ts';
import { publish } from './agent-word.ts';

export function beginWhatIsDue(draft: AgentDraft): void {
  readIfNeeded(draft);
  const { holdings, ending, pausedUntilMs, view } = draft.state;
  const isPaused = draft.nowMs < pausedUntilMs;
  const silence: VipAddress[] = [];
  const drop: VipAddress[] = [];
  for (const [address, holding] of isPaused ? [] : [...holdings]) {
    const isWanted = draft.isGranted(address);
    if (holding.phase === 'open' && isWanted) {
      const generation = view?.grants.get(address)?.generation ?? holding.generation;
      if (generation !== holding.generation) draft.put(address, { ...holding, generation });
    } else if (holding.phase === 'open' || holding.phase === 'unsure') silence.push(address);
    else if (holding.phase === 'silent' && !isWanted && isOver(draft, holding)) drop.push(address);
    else if (holding.phase === 'ready' && !isWanted && !draft.isHeir(address)) drop.push(address);
  }
  if (silence.length > 0) {
    const reason = ending !== undefined ? 'lease' : 'revoked';
    for (const address of silence) {
      const { generation = 0, phase } = holdings.get(address) ?? {};
      if (phase === 'open') draft.tell({ type: 'vip.silent', address, generation, reason });
      draft.move(address, 'silencing');
    }
    draft.add({ type: 'silence', addresses: silence });
  }
  if (drop.length > 0) {
    for (const address of drop) draft.move(address, 'dropping');
    draft.add({ type: 'drop', addresses: drop });
  }
  if (!isPaused) {
    takeGranted(draft);
    prepareInherited(draft);
  }
  publish(draft);
  if (ending !== undefined && !ending.isVerifying && draft.state.holdings.size === 0 && !isPaused) {
    draft.set({ ending: { ...ending, isVerifying: true } });
    draft.add({ type: 'verify' });
  }
}

/** What was granted, is not held, and would be open in time. */
function takeGranted(draft: AgentDraft): void {
  const { view, allowed, holdings, refusals } = draft.state;
  if (view === undefined || allowed === undefined || draft.nowMs >= allowed.deadlineMs - draft.rules.withdrawMs) return;
  const free: VipAddress[] = [];
  const toAsk: VipAddress[] = [];
  for (const { address, generation, isHandedOver } of view.grants.values()) {
    if (!draft.isGranted(address)) continue;
    const phase = holdings.get(address)?.phase;
    if (phase !== undefined && phase !== 'silent' && phase !== 'ready') continue;
    const refusal = refusals.get(address);
    if (refusal !== undefined && refusal.generation === generation && draft.nowMs < refusal.againAtMs) continue;
    // Only of what has just been handed over: after a restart nobody knows what was meanwhile.
    (isHandedOver === true && phase === 'ready' ? free : toAsk).push(address);
    draft.put(address, { generation, phase: 'taking', sinceMs: draft.nowMs });
  }
  const { deadlineMs } = allowed;
  if (free.length > 0) draft.add({ type: 'take', addresses: free, deadlineMs, isFree: true });
  if (toAsk.length > 0) draft.add({ type: 'take', addresses: toAsk, deadlineMs, isFree: false });
}

/** What others hold and we are to be ready for. */
function prepareInherited(draft: AgentDraft): void {
  const { view, holdings, refusals } = draft.state;
  const addresses: VipAddress[] = [];
  for (const { address, generation } of view?.grants.values() ?? []) {
    if (!draft.isHeir(address) || holdings.has(address)) continue;
    if (draft.nowMs < (refusals.get(address)?.againAtMs ?? 0)) continue;
    addresses.push(address);
    draft.put(address, { generation, phase: 'preparing', sinceMs: draft.nowMs });
  }
  if (addresses.length > 0) draft.add({ type: 'prepare', addresses });
}

/** A view of this tenure is missing: asks for one. */
function readIfNeeded(draft: AgentDraft): void {
  const { allowed, isFresh, reading, readAtMs, calls } = draft.state;
  if (allowed === undefined || isFresh || reading !== undefined || draft.nowMs < readAtMs) return;
  const call = calls + 1;
  draft.set({ calls: call, reading: { call } });
  draft.add({ type: 'read', call });
}

function isOver(draft: AgentDraft, { sinceMs }: Holding): boolean {
  return draft.state.allowed === undefined || draft.nowMs >= sinceMs + draft.rules.lingerMs;
}

export function wakeAtMs(draft: AgentDraft): number | undefined {
  const { allowed, isFresh, reading, readAtMs, holdings, refusals, pausedUntilMs } = draft.state;
  const times: number[] = [];
  if (allowed !== undefined && !isFresh && reading === undefined) times.push(readAtMs);
  for (const [address, { phase, sinceMs }] of holdings) {
    if (phase === 'silent' && !draft.isGranted(address)) times.push(sinceMs + draft.rules.lingerMs);
  }
  for (const [address, { againAtMs }] of refusals) {
    const phase = holdings.get(address)?.phase;
    if (phase === undefined || phase === 'silent') times.push(againAtMs);
  }
  if (pausedUntilMs > draft.nowMs) return pausedUntilMs;
  const future = times.filter((atMs) => atMs > draft.nowMs);
  return future.length === 0 ? undefined : Math.min(...future);
}
