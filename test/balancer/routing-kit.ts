/** A routing state that tests lead by hand: short words for inputs, and what came of them. */
import type { BalancerEvent } from '../../src/balancer/balancer-event.ts';
import { candidates } from '../../src/balancer/candidates.ts';
import { reduce } from '../../src/balancer/reduce.ts';
import { refOf, type Effect, type Input, type ServerRef } from '../../src/balancer/routing-input.ts';
import {
  emptyRouting,
  serverAt,
  type RoutingState,
  type Rules,
  type Server,
} from '../../src/balancer/routing-state.ts';

export class Routing {
  state: RoutingState;
  nowMs = 0;
  /** Of the last input. */
  effects: readonly Effect[] = [];

  constructor(rules: Partial<Rules> = {}) {
    this.state = emptyRouting(rules);
  }

  /** Ranks and draws. */
  random: () => number = () => 0.5;

  input(input: Input): this {
    ({ state: this.state, effects: this.effects } = reduce(this.state, input, {
      nowMs: this.nowMs,
      random: this.random,
    }));
    return this;
  }

  update(...addresses: readonly string[]): this {
    return this.input({ type: 'update', servers: addresses.map((address) => ({ address })) });
  }

  dialled(address: string, outcome: 'ok' | 'slow' | 'late' | 'failed' = 'ok', tookMs = 0): this {
    const server = this.ref(address);
    if (outcome === 'failed') return this.input({ type: 'dial', server, outcome, reason: 'ECONNREFUSED', tookMs });
    if (outcome === 'slow') return this.input({ type: 'dial', server, outcome });
    return this.input({ type: 'dial', server, outcome, tookMs: 1 });
  }

  checked(address: string, outcome: 'ok' | 'failed' | 'silent' = 'ok'): this {
    const server = this.ref(address);
    if (outcome === 'silent') {
      return this.input({ type: 'check', server, outcome: 'failed', reason: 'no answer', silentForMs: 1000 });
    }
    if (outcome === 'failed') return this.input({ type: 'check', server, outcome, reason: '500' });
    return this.input({ type: 'check', server, outcome, tookMs: 1 });
  }

  closed(address: string, broken?: string): this {
    return this.input({ type: 'closed', server: this.ref(address), broken });
  }

  /** @param lost - hosts whose machines are not heard any more; all others are, or nobody knows */
  heartbeats(lost: readonly string[]): this {
    return this.input({ type: 'heartbeats', lost });
  }

  /** Two checks: from unchecked or failed to preferred, or to active with connections. */
  well(address: string): this {
    return this.checked(address).checked(address);
  }

  ref(address: string): ServerRef {
    return refOf(this.server(address));
  }

  server(address: string): Server {
    const server = serverAt(this.state, address);
    if (server === undefined) throw new Error(`${address} is not there`);
    return server;
  }

  /** "a:1=active(2) b:1=preferred". */
  get text(): string {
    return this.state.servers
      .map(
        ({ address, state, connections }) => `${address}=${state}${connections > 0 ? `(${String(connections)})` : ''}`,
      )
      .join(' ');
  }

  order(): readonly string[] {
    return candidates(this.state, this.nowMs, this.random).map(({ server }) => server.address);
  }

  get events(): readonly BalancerEvent[] {
    return this.effects.flatMap((effect) => (effect.type === 'tell' ? [effect.event] : []));
  }

  /** "a:1 within 0": of the last input. */
  get closings(): readonly string[] {
    return this.effects.flatMap((effect) =>
      effect.type === 'close' ? [`${effect.server.address} within ${String(effect.withinMs)}`] : [],
    );
  }
}
