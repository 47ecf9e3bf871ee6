/**
 * Random lives of a balancer (routing-commands.ts) against a simple model of its connections, dials and
 * checks; after each input the invariants (routing-invariants.ts) have to hold.
 */
import { candidates } from '../../src/balancer/candidates.ts';
import type { Effect, ServerRef } from '../../src/balancer/routing-input.ts';
import { serverAt, type Policy } from '../../src/balancer/routing-state.ts';
import { own, type Command } from './routing-commands.ts';
import { holdAlways, holdBetween, type Connection, type Dial } from './routing-invariants.ts';
import { Routing } from './routing-kit.ts';

export { livesOf } from './routing-commands.ts';

/** A balancer with a model of its connections. Effects are performed as the real balancer does. */
export class World {
  readonly routing: Routing;
  readonly connections: Connection[] = [];
  readonly dials: Dial[] = [];
  /** "active → failed", "close removed", "effect keep": what this life has come through. */
  readonly cameThrough = new Set<string>();
  /** Incarnations whose checks have begun and not ended. */
  readonly checked = new Set<number>();
  readonly #seen: ServerRef[] = [];

  constructor(policy: Policy) {
    // Else hardly anybody would be well for long enough to be healthy.
    this.routing = new Routing({ policy, ownAddresses: [own], settleMs: 1000 });
  }

  run(command: Command): void {
    const { routing } = this;
    switch (command.do) {
      case 'update':
        routing.input({
          type: 'update',
          servers: command.list.map((each) => ({ address: each, weight: command.weight })),
        });
        break;
      case 'default':
        routing.input({ type: 'default', address: command.server ?? undefined });
        break;
      case 'heartbeats':
        routing.heartbeats(command.lost);
        break;
      case 'begin dial': {
        const server = candidates(routing.state, routing.nowMs, routing.random)[command.place]?.server;
        if (server !== undefined) this.dials.push({ server, isGivenUp: false });
        return;
      }
      case 'end dial':
        this.#endDial(command.which, command.outcome);
        return;
      case 'check':
        if (serverAt(routing.state, command.server) !== undefined) routing.checked(command.server, command.outcome);
        else return;
        break;
      case 'mute': {
        const server = serverAt(routing.state, command.server);
        if (server === undefined) return;
        routing.input({ type: 'silent', server });
        break;
      }
      case 'old check': {
        const server = this.#seen[command.which % Math.max(1, this.#seen.length)];
        if (server === undefined) return;
        routing.input({ type: 'check', server, outcome: 'ok', tookMs: 1 });
        break;
      }
      case 'end': {
        const [ended] = this.connections.splice(command.which % Math.max(1, this.connections.length), 1);
        if (ended === undefined) return;
        routing.input({ type: 'closed', server: ended.server, broken: command.broken ? 'ECONNRESET' : undefined });
        break;
      }
      case 'pass':
        this.#pass(command.ms);
        return;
      default:
        routing.input({ type: command.do, address: command.server });
    }
    this.#perform();
  }

  #endDial(which: number, outcome: 'ok' | 'failed' | 'slow' | 'late'): void {
    const index = which % Math.max(1, this.dials.length);
    const dial = this.dials[index];
    if (dial === undefined) return;
    if (outcome !== 'slow') this.dials.splice(index, 1);
    const { server } = dial;
    const { routing } = this;
    if (outcome === 'failed') routing.input({ type: 'dial', server, outcome, reason: 'ECONNREFUSED', tookMs: 0 });
    else if (outcome === 'slow') routing.input({ type: 'dial', server, outcome });
    else routing.input({ type: 'dial', server, outcome, tookMs: 1 });
    const isWanted = !routing.effects.some(({ type }) => type === 'discard');
    // Its own closing may be among the effects: it must be there to be closed.
    if (outcome === 'ok' && isWanted) this.connections.push({ server, endsByMs: undefined });
    this.#perform();
  }

  #pass(ms: number): void {
    this.routing.nowMs += ms;
    for (const connection of [...this.connections]) {
      if ((connection.endsByMs ?? Number.POSITIVE_INFINITY) > this.routing.nowMs) continue;
      this.connections.splice(this.connections.indexOf(connection), 1);
      this.routing.input({ type: 'closed', server: connection.server });
      this.#perform();
    }
  }

  #perform(): void {
    const queue: Effect[] = [...this.routing.effects];
    for (let effect = queue.shift(); effect !== undefined; effect = queue.shift()) {
      this.#note(effect);
      if (effect.type === 'enter') {
        this.#seen.push(effect.server);
        this.checked.add(effect.server.incarnation);
      }
      if (effect.type === 'leave') this.checked.delete(effect.server.incarnation);
      if (effect.type === 'abandon') {
        for (const dial of this.dials) dial.isGivenUp ||= dial.server.incarnation === effect.server.incarnation;
      }
      if (effect.type !== 'close' && effect.type !== 'keep') continue;
      const { incarnation } = effect.server;
      for (const connection of [...this.connections]) {
        if (connection.server.incarnation !== incarnation) continue;
        if (effect.type === 'keep') connection.endsByMs = undefined;
        else if (effect.withinMs > 0) {
          connection.endsByMs = Math.min(
            connection.endsByMs ?? Number.POSITIVE_INFINITY,
            this.routing.nowMs + effect.withinMs,
          );
        } else {
          this.connections.splice(this.connections.indexOf(connection), 1);
          this.routing.input({ type: 'closed', server: connection.server });
          queue.push(...this.routing.effects);
        }
      }
    }
  }

  #note(effect: Effect): void {
    this.cameThrough.add(`effect ${effect.type}`);
    if (effect.type !== 'tell') return;
    const { event } = effect;
    if (event.type === 'lb.closing') this.cameThrough.add(`close ${event.reason}`);
    if (event.type === 'lb.server') this.cameThrough.add(`${event.from ?? 'new'} → ${event.to ?? 'gone'}`);
  }
}

/** @throws an Error that names the invariant which did not hold */
export function live(policy: Policy, commands: readonly Command[]): World {
  const world = new World(policy);
  for (const each of commands) {
    const before = world.routing.state.servers;
    world.run(each);
    holdBetween(before, each, world);
    holdAlways(world);
  }
  return world;
}
