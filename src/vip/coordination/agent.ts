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
import type { TakeOutcome, TakeRefusal } from '../actuator.ts';
import type { VipAddress } from '../model.ts';
import type {
  AgentEffect,
  AgentEvent,
  AgentInput,
  AgentRules,
  AgentState,
  AgentStep,
  Holding,
  HoldingPhase,
} from './agent-model.ts';
import type { LeaseNotes } from './lease-model.ts';
import { generationsText, notes, type StoredAssignment } from './stored-assignment.ts';

/** An address that somebody else answers for, or that the kernel refused, is tried again after this. */
const refusedAgainMs = 5000;
/** A kernel that has said no so often in a row is believed: the address is refused, and another node may have it. */
const failuresToRefuse = 3;
const readAgainMs = 200;
/** A kernel that says no to a removal is asked again. */
const failedPauseMs = 200;

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
  published: '',
};

/** Pure. */
export function stepAgent(state: AgentState, input: AgentInput, rules: AgentRules, nowMs: number): AgentStep {
  const draft = new AgentDraft(state, rules, nowMs);
  draft.take(input);
  draft.settle();
  return draft.step();
}

/** Whether the rule to speak allows it; the deadline is the caller's matter. */
export function isGranted({ allowed, isFresh, view }: AgentState, { node }: AgentRules, address: VipAddress): boolean {
  const grant = view?.grants.get(address);
  return allowed !== undefined && isFresh && grant?.owner === node && grant.state === 'granted';
}

/** What the node says of itself, whatever it holds. */
const ownNotes = ({ isApiServerReady }: AgentState, rules: AgentRules): LeaseNotes => ({
  ...rules.notes,
  ...(isApiServerReady ? { [notes.apiServerReady]: 'true' } : {}),
});

/** Whether we are to be ready for it. */
export function isHeir({ allowed, view }: AgentState, { node }: AgentRules, address: VipAddress): boolean {
  const grant = view?.grants.get(address);
  if (allowed === undefined || grant === undefined || grant.owner === node) return false;
  return (grant.state === 'granted' ? grant.heir : grant.next) === node;
}

class AgentDraft {
  #state: AgentState;
  readonly #rules: AgentRules;
  readonly #nowMs: number;
  readonly #effects: AgentEffect[] = [];
  #owned: Map<VipAddress, Holding> | undefined;

  constructor(state: AgentState, rules: AgentRules, nowMs: number) {
    this.#state = state;
    this.#rules = rules;
    this.#nowMs = nowMs;
  }

  take(input: AgentInput): void {
    const state = this.#state;
    switch (input.type) {
      case 'wake':
        return;
      case 'allowed': {
        const { tenure, deadlineMs } = input;
        const isNew = state.allowed?.tenure !== tenure;
        this.#set({
          allowed: { tenure, deadlineMs },
          ...(isNew ? { isFresh: false, readAtMs: this.#nowMs, reading: undefined } : {}),
        });
        return;
      }
      case 'withdraw':
        this.#set({
          allowed: undefined,
          isFresh: false,
          reading: undefined,
          ending: { tenure: input.tenure, isVerifying: false },
        });
        return;
      case 'seen':
        this.#see(input.assignment);
        return;
      case 'read':
        if (state.reading?.call !== input.call) return;
        this.#set({ reading: undefined, isFresh: true });
        this.#see(input.assignment);
        return;
      case 'read failed':
        if (state.reading?.call === input.call) this.#set({ reading: undefined, readAtMs: this.#nowMs + readAgainMs });
        return;
      case 'leaving':
        this.#set({ isLeaving: true });
        return;
      case 'api server':
        this.#set({ isApiServerReady: input.isReady });
        // A Lease that is got, or got again, says it from its first moment.
        if (state.allowed === undefined) {
          this.#set({ published: '' });
          this.#effects.push({ type: 'publish', notes: ownNotes(this.#state, this.#rules) });
        }
        return;
      case 'prepared':
        this.#arrived(input.outcomes, { from: 'preparing', to: 'ready', type: 'vip.prepared' });
        return;
      case 'taken':
        this.#arrived(input.outcomes, { from: 'taking', to: 'open', type: 'vip.taken' });
        return;
      case 'silenced':
        for (const address of input.addresses) this.#move(address, 'silent', 'silencing');
        return;
      case 'dropped':
        for (const address of input.addresses) {
          const holding = state.holdings.get(address);
          if (holding?.phase !== 'dropping') continue;
          this.#forget(address);
          this.#tell({ type: 'vip.dropped', address, generation: holding.generation });
        }
        return;
      case 'failed':
        this.#onFailed(input);
        return;
      case 'verified':
        this.#onVerified(input.left);
        return;
      default:
        unreachable(input);
    }
  }

  /** Begins what has to be done in the present state. */
  settle(): void {
    this.#read();
    const { holdings, ending, pausedUntilMs, view } = this.#state;
    const isPaused = this.#nowMs < pausedUntilMs;
    const silence: VipAddress[] = [];
    const drop: VipAddress[] = [];
    for (const [address, holding] of isPaused ? [] : [...holdings]) {
      const isWanted = isGranted(this.#state, this.#rules, address);
      if (holding.phase === 'open' && isWanted) {
        const generation = view?.grants.get(address)?.generation ?? holding.generation;
        if (generation !== holding.generation) this.#put(address, { ...holding, generation });
      } else if (holding.phase === 'open' || holding.phase === 'unsure') silence.push(address);
      else if (holding.phase === 'silent' && !isWanted && this.#isOver(holding)) drop.push(address);
      else if (holding.phase === 'ready' && !isWanted && !isHeir(this.#state, this.#rules, address)) drop.push(address);
    }
    if (silence.length > 0) {
      const reason = ending !== undefined ? 'lease' : 'revoked';
      for (const address of silence) {
        const { generation = 0, phase } = holdings.get(address) ?? {};
        if (phase === 'open') this.#tell({ type: 'vip.silent', address, generation, reason });
        this.#move(address, 'silencing');
      }
      this.#effects.push({ type: 'silence', addresses: silence });
    }
    if (drop.length > 0) {
      for (const address of drop) this.#move(address, 'dropping');
      this.#effects.push({ type: 'drop', addresses: drop });
    }
    if (!isPaused) {
      this.#takeGranted();
      this.#prepareInherited();
    }
    this.#publish();
    if (ending !== undefined && !ending.isVerifying && this.#state.holdings.size === 0 && !isPaused) {
      this.#set({ ending: { ...ending, isVerifying: true } });
      this.#effects.push({ type: 'verify' });
    }
  }

  step(): AgentStep {
    return { state: this.#state, effects: this.#effects, wakeAtMs: this.#wakeAtMs() };
  }

  /** What was granted, is not held, and would be open in time. */
  #takeGranted(): void {
    const { view, allowed, holdings, refusals } = this.#state;
    if (view === undefined || allowed === undefined || this.#nowMs >= allowed.deadlineMs - this.#rules.withdrawMs)
      return;
    const free: VipAddress[] = [];
    const toAsk: VipAddress[] = [];
    for (const { address, generation, isHandedOver } of view.grants.values()) {
      if (!isGranted(this.#state, this.#rules, address)) continue;
      const phase = holdings.get(address)?.phase;
      if (phase !== undefined && phase !== 'silent' && phase !== 'ready') continue;
      const refusal = refusals.get(address);
      if (refusal !== undefined && refusal.generation === generation && this.#nowMs < refusal.againAtMs) continue;
      // Only of what has just been handed over: after a restart nobody knows what was meanwhile.
      (isHandedOver === true && phase === 'ready' ? free : toAsk).push(address);
      this.#put(address, { generation, phase: 'taking', sinceMs: this.#nowMs });
    }
    const { deadlineMs } = allowed;
    if (free.length > 0) this.#effects.push({ type: 'take', addresses: free, deadlineMs, isFree: true });
    if (toAsk.length > 0) this.#effects.push({ type: 'take', addresses: toAsk, deadlineMs, isFree: false });
  }

  /** What others hold and we are to be ready for. */
  #prepareInherited(): void {
    const { view, holdings, refusals } = this.#state;
    const addresses: VipAddress[] = [];
    for (const { address, generation } of view?.grants.values() ?? []) {
      if (!isHeir(this.#state, this.#rules, address) || holdings.has(address)) continue;
      if (this.#nowMs < (refusals.get(address)?.againAtMs ?? 0)) continue;
      addresses.push(address);
      this.#put(address, { generation, phase: 'preparing', sinceMs: this.#nowMs });
    }
    if (addresses.length > 0) this.#effects.push({ type: 'prepare', addresses });
  }

  /** What the actuator was asked for is there, or was refused. */
  #arrived(
    outcomes: readonly TakeOutcome[],
    { from, to, type }: { from: HoldingPhase; to: HoldingPhase; type: 'vip.prepared' | 'vip.taken' },
  ): void {
    for (const { address, refused } of outcomes) {
      const holding = this.#state.holdings.get(address);
      if (holding?.phase !== from) continue;
      const { generation, sinceMs } = holding;
      if (refused !== undefined) {
        this.#refuse(address, generation, refused);
        continue;
      }
      this.#accept(address);
      this.#move(address, to);
      this.#tell({ type, address, generation, tookMs: this.#nowMs - sinceMs });
    }
  }

  #refuse(address: VipAddress, generation: number, refusal: TakeRefusal): void {
    this.#forget(address);
    this.#noteRefusal(address, generation, refusal);
  }

  #noteRefusal(address: VipAddress, generation: number, refusal: TakeRefusal): void {
    const refused = { generation, refusal, againAtMs: this.#nowMs + refusedAgainMs };
    this.#set({ refusals: new Map([...this.#state.refusals, [address, refused]]) });
    this.#tell({ type: 'vip.refused', address, generation, refusal });
  }

  /** What was once refused and is here now is not said to be refused any more. */
  #accept(address: VipAddress): void {
    const { refusals, failures } = this.#state;
    const others = <T>(all: ReadonlyMap<VipAddress, T>) => new Map([...all].filter(([each]) => each !== address));
    if (refusals.has(address)) this.#set({ refusals: others(refusals) });
    if (failures.has(address)) this.#set({ failures: others(failures) });
  }

  /** A view of this tenure is missing: asks for one. */
  #read(): void {
    const { allowed, isFresh, reading, readAtMs, calls } = this.#state;
    if (allowed === undefined || isFresh || reading !== undefined || this.#nowMs < readAtMs) return;
    const call = calls + 1;
    this.#set({ calls: call, reading: { call } });
    this.#effects.push({ type: 'read', call });
  }

  #see(assignment: StoredAssignment): void {
    const { view } = this.#state;
    if (view !== undefined && assignment.revision < view.revision) return;
    this.#set({ view: assignment });
  }

  #publish(): void {
    const { view, holdings, refusals, allowed, isLeaving } = this.#state;
    if (allowed === undefined) return;
    const prepared = new Map<VipAddress, number>();
    const released = new Map<VipAddress, number>();
    const refused = new Map<VipAddress, number>();
    for (const { address, owner, state, generation } of view?.grants.values() ?? []) {
      const phase = holdings.get(address)?.phase;
      const isOwner = owner === this.#rules.node;
      const refusal = refusals.get(address);
      if (phase === 'ready' && isHeir(this.#state, this.#rules, address)) prepared.set(address, generation);
      const isSilent = phase === undefined || phase === 'silent' || phase === 'dropping';
      if (isOwner && state === 'revoking' && isSilent) released.set(address, generation);
      // Until it tries again it says so, also when it is not named any more and another one has been granted the
      // address meanwhile: else it would be named again at once.
      const isCurrent =
        isOwner && state === 'granted' ? refusal?.generation === generation : this.#nowMs < (refusal?.againAtMs ?? 0);
      if (isCurrent) refused.set(address, generation);
    }
    const content = {
      ...ownNotes(this.#state, this.#rules),
      ...(isLeaving ? { [notes.leaving]: 'true' } : {}),
      ...(prepared.size === 0 ? {} : { [notes.prepared]: generationsText(prepared) }),
      ...(released.size === 0 ? {} : { [notes.released]: generationsText(released) }),
      ...(refused.size === 0 ? {} : { [notes.refused]: generationsText(refused) }),
    };
    const text = JSON.stringify(content);
    if (text === this.#state.published) return;
    this.#set({ published: text });
    this.#effects.push({ type: 'publish', notes: content });
  }

  #onFailed({ at, addresses, reason }: Extract<AgentInput, { type: 'failed' }>): void {
    this.#tell({ type: 'vip.actuator-failed', at, reason });
    this.#set({ pausedUntilMs: this.#nowMs + failedPauseMs });
    // What was dropped was silent before. Of the rest nobody knows what the kernel has: what is granted is taken anew.
    for (const address of addresses) this.#move(address, at === 'drop' ? 'silent' : 'unsure');
    // One that was broken off because the Lease was lost says nothing of the kernel.
    const isOurs = this.#state.allowed !== undefined;
    if (isOurs && (at === 'take' || at === 'prepare'))
      for (const address of addresses) this.#countFailure(address, reason);
    const { ending } = this.#state;
    if (at === 'verify' && ending !== undefined) this.#set({ ending: { ...ending, isVerifying: false } });
  }

  /** It stays `unsure`, and is silenced all the same. */
  #countFailure(address: VipAddress, reason: string): void {
    const { failures, holdings } = this.#state;
    const count = (failures.get(address) ?? 0) + 1;
    this.#set({ failures: new Map([...failures, [address, count]]) });
    const holding = holdings.get(address);
    if (holding === undefined || count < failuresToRefuse) return;
    this.#noteRefusal(address, holding.generation, { kind: 'failed', reason });
  }

  #onVerified(left: readonly VipAddress[]): void {
    const { ending } = this.#state;
    if (ending?.isVerifying !== true) return;
    if (left.length === 0) {
      this.#set({ ending: undefined, published: '' });
      this.#tell({ type: 'vip.withdrawn', tenure: ending.tenure });
      this.#effects.push({ type: 'withdrawn', tenure: ending.tenure });
      return;
    }
    // Something of ours that we did not know of: it goes the same way.
    this.#set({ ending: { ...ending, isVerifying: false } });
    for (const address of left) this.#put(address, { generation: 0, phase: 'unsure', sinceMs: this.#nowMs });
  }

  #isOver({ sinceMs }: Holding): boolean {
    return this.#state.allowed === undefined || this.#nowMs >= sinceMs + this.#rules.lingerMs;
  }

  #wakeAtMs(): number | undefined {
    const { allowed, isFresh, reading, readAtMs, holdings, refusals, pausedUntilMs } = this.#state;
    const times: number[] = [];
    if (allowed !== undefined && !isFresh && reading === undefined) times.push(readAtMs);
    for (const [address, { phase, sinceMs }] of holdings) {
      if (phase === 'silent' && !isGranted(this.#state, this.#rules, address))
        times.push(sinceMs + this.#rules.lingerMs);
    }
    for (const [address, { againAtMs }] of refusals) {
      const phase = holdings.get(address)?.phase;
      if (phase === undefined || phase === 'silent') times.push(againAtMs);
    }
    if (pausedUntilMs > this.#nowMs) return pausedUntilMs;
    const future = times.filter((atMs) => atMs > this.#nowMs);
    return future.length === 0 ? undefined : Math.min(...future);
  }

  #move(address: VipAddress, phase: HoldingPhase, from?: HoldingPhase): void {
    const holding = this.#state.holdings.get(address);
    if (holding === undefined || (from !== undefined && holding.phase !== from)) return;
    this.#put(address, { ...holding, phase, sinceMs: this.#nowMs });
  }

  #put(address: VipAddress, holding: Holding): void {
    this.#own().set(address, holding);
  }

  #forget(address: VipAddress): void {
    this.#own().delete(address);
  }

  /** The holdings of this step: copied once, however many change. */
  #own(): Map<VipAddress, Holding> {
    if (this.#owned === undefined) {
      this.#owned = new Map(this.#state.holdings);
      this.#set({ holdings: this.#owned });
    }
    return this.#owned;
  }

  #tell(event: AgentEvent): void {
    this.#effects.push({ type: 'tell', event });
  }

  #set(change: Partial<AgentState>): void {
    this.#state = { ...this.#state, ...change };
  }
}
