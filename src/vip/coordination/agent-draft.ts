/**
 * One step of the agent while it is made: the state that becomes another one, and what has to be done about
 * it. Who decides is elsewhere: inputs (agent.ts), the actuator's answers (agent-outcomes.ts), what has to be
 * begun (agent-begin.ts), what is said on the Lease (agent-word.ts).
 */
import type { VipAddress } from '../model.ts';
import type { AgentEffect, AgentEvent, AgentRules, AgentState, Holding, HoldingPhase } from './agent-model.ts';

export class AgentDraft {
  #state: AgentState;
  readonly rules: AgentRules;
  readonly nowMs: number;
  readonly effects: AgentEffect[] = [];
  #owned: Map<VipAddress, Holding> | undefined;

  constructor(state: AgentState, rules: AgentRules, nowMs: number) {
    this.#state = state;
    this.rules = rules;
    this.nowMs = nowMs;
  }

  get state(): AgentState {
    return this.#state;
  }

  /** Whether the rule to speak allows it; the deadline is the caller's matter. */
  isGranted(address: VipAddress): boolean {
    const { allowed, isFresh, view } = this.#state;
    const grant = view?.grants.get(address);
    return allowed !== undefined && isFresh && grant?.owner === this.rules.node && grant.state === 'granted';
  }

  /** Whether we are to be ready for it. */
  isHeir(address: VipAddress): boolean {
    const { allowed, view } = this.#state;
    const { node } = this.rules;
    const grant = view?.grants.get(address);
    if (allowed === undefined || grant === undefined || grant.owner === node) return false;
    return (grant.state === 'granted' ? grant.heir : grant.next) === node;
  }

  /** @param from - only from this phase; absent: from any */
  move(address: VipAddress, phase: HoldingPhase, from?: HoldingPhase): void {
    const holding = this.#state.holdings.get(address);
    if (holding === undefined || (from !== undefined && holding.phase !== from)) return;
    this.put(address, { ...holding, phase, sinceMs: this.nowMs });
  }

  put(address: VipAddress, holding: Holding): void {
    this.#own().set(address, holding);
  }

  forget(address: VipAddress): void {
    this.#own().delete(address);
  }

  /** The holdings of this step: copied once, however many change. */
  #own(): Map<VipAddress, Holding> {
    if (this.#owned === undefined) {
      this.#owned = new Map(this.#state.holdings);
      this.set({ holdings: this.#owned });
    }
    return this.#owned;
  }

  add(effect: AgentEffect): void {
    this.effects.push(effect);
  }

  tell(event: AgentEvent): void {
    this.effects.push({ type: 'tell', event });
  }

  set(change: Partial<AgentState>): void {
    this.#state = { ...this.#state, ...change };
  }
}
