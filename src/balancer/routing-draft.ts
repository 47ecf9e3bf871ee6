/**
 * A routing state while one input changes it: the steps of `reduce` are written against this, and
 * its result is a new state. It is the only thing here that changes in place, and nobody sees it.
 */
import type { BalancerEvent } from './balancer-event.ts';
import { refOf, type Effect } from './routing-input.ts';
import {
  isAnswerDue,
  isDialable,
  isMute,
  isProven,
  isUnheard,
  isWaiting,
  isWell,
  serverAt,
  stateNumber,
  unheardSince,
  type CloseReason,
  type Heartbeats,
  type RoutingState,
  type Rules,
  type Server,
  type ServerError,
  type ServerState,
} from './routing-state.ts';
import { ruleFor, type Rule, type ServerInput } from './server-table.ts';

export interface ReduceContext {
  /** Monotonic milliseconds. */
  readonly nowMs: number;
  /** In [0, 1). */
  readonly random: () => number;
}

export interface Step {
  readonly state: RoutingState;
  readonly effects: readonly Effect[];
}

/** Source: etcd asks its new leader 500 ms after it last asked the old one (`readIndexRetryTime`). */
const answerDueMs = 600;

export class Draft {
  readonly rules: Rules;
  servers: readonly Server[];
  pinned: string | undefined;
  lastIncarnation: number;
  heartbeats: Heartbeats;
  readonly nowMs: number;
  readonly #before: RoutingState;
  readonly #random: () => number;
  readonly #effects: Effect[] = [];

  constructor(state: RoutingState, { nowMs, random }: ReduceContext) {
    this.#before = state;
    ({ rules: this.rules, servers: this.servers, pinned: this.pinned, lastIncarnation: this.lastIncarnation } = state);
    this.heartbeats = state.heartbeats;
    this.nowMs = nowMs;
    this.#random = random;
  }

  step(): Step {
    const { rules, servers, pinned, lastIncarnation, heartbeats } = this;
    const before = this.#before;
    const isSame = servers === before.servers && pinned === before.pinned && heartbeats === before.heartbeats;
    return { state: isSame ? before : { rules, servers, pinned, lastIncarnation, heartbeats }, effects: this.#effects };
  }

  effect(effect: Effect): void {
    this.#effects.push(effect);
  }

  tell(event: BalancerEvent): void {
    this.effect({ type: 'tell', event });
  }

  change(address: string, change: Partial<Server>): void {
    this.servers = this.servers.map((server) => (server.address === address ? { ...server, ...change } : server));
  }

  add(server: Pick<Server, 'address' | 'state' | 'weight' | 'isDefault' | 'isListed'>, cause: string): void {
    this.lastIncarnation += 1;
    const added: Server = {
      ...server,
      incarnation: this.lastIncarnation,
      sinceMs: this.nowMs,
      isLeaving: false,
      isDraining: false,
      isSuspect: false,
      rank: this.#random(),
      connections: 0,
      closingByMs: undefined,
      brokenInARow: 0,
      dialMs: undefined,
      lastError: undefined,
      isReprieved: false,
      answeredAtMs: undefined,
      dialledAtMs: undefined,
      mutedAtMs: undefined,
      unheardSinceMs: unheardSince({ address: server.address, unheardSinceMs: undefined }, this.heartbeats, this.nowMs),
    };
    this.servers = [...this.servers, added];
    this.tell({ type: 'lb.server', server: server.address, isDefault: server.isDefault, to: server.state, cause });
    this.effect({ type: 'enter', server: refOf(added) });
  }

  failure(address: string, source: ServerError['source'], reason: string, silentSinceMs?: number): void {
    const server = serverAt(this, address);
    // What a check has said stays a check's to take back.
    if (source !== 'check' && server?.state === 'failed' && server.lastError?.source === 'check') return;
    // One silence, however many checks find it.
    const known = server?.state === 'failed' ? server.lastError?.silentSinceMs : undefined;
    const sinceMs = silentSinceMs === undefined ? undefined : Math.min(known ?? silentSinceMs, silentSinceMs);
    this.change(address, { lastError: { source, reason, atMs: this.nowMs, silentSinceMs: sinceMs } });
  }

  /** Its machine has fallen silent. */
  silence(address: string): void {
    if (serverAt(this, address)?.state !== 'failed') this.failure(address, 'heartbeat', 'its machine is silent');
    this.input(address, 'heartbeat lost', 'no heartbeat from its machine');
  }

  /** Does what the table says. `cause`: for people. */
  input(address: string, input: ServerInput, cause: string): void {
    const server = serverAt(this, address);
    if (server === undefined) return;
    const { settleMs, brokenLimit } = this.rules;
    const rule = ruleFor(server, input, { nowMs: this.nowMs, settleMs, brokenLimit });
    if (rule !== undefined) this.#follow(server, rule, cause);
  }

  #follow(server: Server, rule: Rule, cause: string): void {
    const { address } = server;
    if (rule.mark !== undefined) this.change(address, { isSuspect: rule.mark === 'suspect' });
    if (rule.to === 'gone') {
      this.#remove(server, cause);
      return;
    }
    if (rule.to === 'claims active') {
      this.#claim(server, cause);
      return;
    }
    this.#enter(server, rule.to, cause);
    const isGone = isMute(server) || rule.close === 'silent';
    if (rule.close === 'failed' && !isGone && !this.hasAlternative(address)) {
      // The check may be wrong, and there is nothing to gain: the connections tell for themselves. One that is only
      // silent, as all are while etcd elects, has until another one answers.
      if (this.#silentSinceMs(address) !== undefined) this.change(address, { isReprieved: true });
      if (server.connections > 0) this.tell({ type: 'lb.spared', server: address, count: server.connections });
    } else if ((rule.close === 'failed' || rule.close === 'silent') && isGone && !this.#mayAnswerInstead(address)) {
      // Until another one shows that it is there.
      this.change(address, { isReprieved: true });
      if (server.connections > 0) this.tell({ type: 'lb.spared', server: address, count: server.connections });
    } else if (rule.close === 'failed' && !isGone && !this.#isOutlived(address)) {
      // Perhaps all are silent, as while etcd elects: another one would not answer sooner.
      this.change(address, { isReprieved: true });
      if (!this.#isAnswerDue(address)) this.close(address, 'takeover', this.#graceMs('takeover', address));
      for (const other of this.servers) {
        if (other.address !== address) this.effect({ type: 'recheck', server: refOf(other) });
      }
    } else if (rule.close !== undefined) {
      this.close(address, rule.close, this.#graceMs(rule.close, address));
    }
    // With no connection there is nothing to wait for.
    if (rule.to === 'invalid') this.#leave(server);
  }

  #enter(server: Server, to: ServerState, cause: string): void {
    if (server.state === to) return;
    const { address, isDefault, state: from } = server;
    this.change(address, { state: to, sinceMs: this.nowMs, isSuspect: false, isReprieved: false, brokenInARow: 0 });
    this.tell({ type: 'lb.server', server: address, isDefault, from, to, cause });
  }

  #leave(server: Server): void {
    this.change(server.address, { isDefault: false, isListed: false, isLeaving: false });
    if (this.pinned === server.address) this.pinned = undefined;
    this.effect({ type: 'leave', server: refOf(server) });
    this.effect({ type: 'abandon', server: refOf(server) });
    if (server.connections === 0) this.input(server.address, 'last closed', 'it had no connections');
  }

  #remove(server: Server, cause: string): void {
    this.servers = this.servers.filter(({ address }) => address !== server.address);
    const { address, isDefault, state: from } = server;
    this.tell({ type: 'lb.server', server: address, isDefault, from, cause });
  }

  #graceMs(reason: CloseReason, address: string): number {
    const { removedMs, takeoverMs, drainedMs } = this.rules.graces;
    const failedMs = this.#isAnswerDue(address) ? answerDueMs : 0;
    return { failed: failedMs, silent: 0, removed: removedMs, takeover: takeoverMs, drained: drainedMs }[reason];
  }

  /** Whoever tries again has come to a server that waits, and must not fail a second time because another one is first. */
  #isAnswerDue(address: string): boolean {
    const server = serverAt(this, address);
    return server !== undefined && isAnswerDue(server);
  }

  /** Of another one that has not answered since either, it is not known whether that is better. */
  #mayAnswerAsSoon(address: string): boolean {
    return this.#isAnswerDue(address) && !this.#isOutlived(address);
  }

  /** Closes the connections of a server, unless that is already under way and no later. */
  close(address: string, reason: CloseReason, withinMs: number): void {
    const server = serverAt(this, address);
    if (server === undefined || server.connections === 0) return;
    // An operator has said how long they may go on.
    if (reason === 'takeover' && server.isDraining && server.closingByMs !== undefined) return;
    const closingByMs = this.nowMs + withinMs;
    if (server.closingByMs !== undefined && server.closingByMs <= closingByMs) return;
    this.change(address, { closingByMs });
    this.tell({ type: 'lb.closing', server: address, reason, count: server.connections, withinMs });
    this.effect({ type: 'close', server: refOf(server), withinMs });
  }

  /** Another server is there that is worth a dial. */
  hasAlternative(address: string): boolean {
    return this.#others(address).some((other) => other.state !== 'failed');
  }

  /** Or it will be, when it has waited: what is gone answers no sooner. */
  #mayAnswerInstead(address: string): boolean {
    return this.#others(address).some((other) => other.state !== 'failed' || isWaiting(other));
  }

  #others(address: string): readonly Server[] {
    return this.servers.filter(
      (other) => other.address !== address && isDialable(other) && !isUnheard(other) && !other.isDraining,
    );
  }

  /** Another server has answered since this one is silent; one that has said no is believed without that. */
  #isOutlived(address: string): boolean {
    const silentSinceMs = this.#silentSinceMs(address);
    if (silentSinceMs === undefined) return true;
    return this.servers.some(
      (other) => other.address !== address && isProven(other) && (other.answeredAtMs ?? 0) >= silentSinceMs,
    );
  }

  #silentSinceMs(address: string): number | undefined {
    return serverAt(this, address)?.lastError?.silentSinceMs;
  }

  /** Under `sticky` the one with more connections is or stays active, unless it is slow or an operator wants otherwise. */
  #claim(server: Server, cause: string): void {
    const { address } = server;
    if (this.rules.policy !== 'sticky') {
      this.#enter(server, 'active', cause);
      return;
    }
    const mine = serverAt(this, address)?.connections ?? 0;
    const rival = this.servers.find((other) => other.state === 'active' && other.address !== address);
    if (rival !== undefined && !this.#givesWay(rival, server)) {
      // While it is not known what is wrong with a slow one, both may keep what they have.
      const waits = rival.isSuspect;
      if (!waits && rival.connections > mine) {
        this.#enter(server, 'preferred', cause);
        this.close(address, 'takeover', this.rules.graces.takeoverMs);
        return;
      }
      if (waits) {
        this.#enter(server, isWell(server) ? server.state : 'preferred', cause);
        return;
      }
    }
    this.#enter(server, 'active', cause);
    for (const other of this.servers) {
      if (other.address !== address && !this.#mayAnswerAsSoon(other.address)) {
        this.input(other.address, 'rival active', `${address} has become active`);
      }
    }
  }

  #givesWay(rival: Server, server: Server): boolean {
    return rival.isDraining || rival.isLeaving || this.pinned === server.address;
  }

  /** What follows for the others, whatever the input was. */
  settle(): void {
    // However it came into such a state: it is new, or in the list again.
    for (const server of this.servers) {
      if (isUnheard(server) && stateNumber(server.state) > stateNumber('standby')) this.silence(server.address);
    }
    // A server that is kept beyond its time goes when one that stays has shown that it is there.
    if (this.servers.some((server) => server.isListed && isProven(server))) {
      for (const { address, isLeaving } of this.servers) {
        if (!isLeaving) continue;
        this.change(address, { isLeaving: false });
        this.input(address, 'dropped', 'no longer in the list');
      }
    }
    const isAnyWell = this.servers.some((server) => isWell(server) && !server.isDraining);
    for (const server of this.servers) {
      const { address, isDraining, closingByMs, isReprieved } = server;
      if (isReprieved && (isAnyWell || this.#silentSinceMs(address) !== undefined) && this.#isOutlived(address)) {
        this.change(address, { isReprieved: false });
        if (this.#isAnswerDue(address)) this.effect({ type: 'recheck', server: refOf(server) });
        this.close(address, 'failed', this.#graceMs('failed', address));
      }
      if (!isAnyWell) continue;
      if (!this.#mayAnswerAsSoon(address)) this.input(address, 'better found', 'another server is well');
      // What it took while nothing else was left.
      if (isDraining && closingByMs === undefined) this.close(address, 'drained', this.rules.graces.drainedMs);
    }
  }
}
