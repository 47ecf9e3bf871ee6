/**
 * Random lives of a balancer against a simple model of its connections, and the invariants that hold
 * after each input. The model performs effects as the real balancer does.
 */
import fc from 'fast-check';
import { candidates } from '../../src/balancer/candidates.ts';
import type { Effect, ServerRef } from '../../src/balancer/routing-input.ts';
import {
  isAnswerDue,
  isUnheard,
  isWell,
  serverAt,
  type Policy,
  type Server,
} from '../../src/balancer/routing-state.ts';
import { Routing } from './routing-kit.ts';

const addresses = ['10.0.0.1:1', '10.0.0.2:1', '10.0.0.3:1', '10.0.0.4:1'] as const;
const hosts = addresses.map((each) => each.split(':')[0] ?? '');
const own = '127.0.0.1:6444';

const address = fc.constantFrom(...addresses);
const pick = fc.nat(1000);
const command = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('update' as const),
      list: fc.subarray([...addresses, own, 'nonsense', '10.0.0.5:0']),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('default' as const),
      server: fc.option(fc.constantFrom(...addresses, own)),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('heartbeats' as const),
      lost: fc.subarray(hosts),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('begin dial' as const), place: fc.nat(3) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('end dial' as const),
      which: pick,
      outcome: fc.constantFrom('ok', 'ok', 'ok', 'failed', 'slow', 'late'),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('check' as const),
      server: address,
      outcome: fc.constantFrom('ok', 'ok', 'failed', 'silent'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('old check' as const), which: pick }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('mute' as const), server: address }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('end' as const), which: pick, broken: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(10, 1500, 6000, 61_000) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('drain' as const, 'undrain' as const, 'pin' as const, 'unpin' as const),
      server: address,
    }),
  },
);
export type Command = typeof command extends fc.Arbitrary<infer C> ? C : never;

interface Connection {
  readonly server: ServerRef;
  endsByMs: number | undefined;
}

/** A balancer with a model of its connections. {@link check} throws when an invariant does not hold. */
export class World {
  readonly routing: Routing;
  readonly connections: Connection[] = [];
  readonly dials: ServerRef[] = [];
  readonly #seen: ServerRef[] = [];

  constructor(policy: Policy) {
    this.routing = new Routing({ policy, ownAddresses: [own] });
  }

  run(command: Command): void {
    const { routing } = this;
    const before = routing.order().length;
    switch (command.do) {
      case 'update':
        routing.update(...command.list);
        this.#perform();
        hold('an update never leaves nobody', before === 0 || routing.order().length > 0);
        return;
      case 'default':
        routing.input({ type: 'default', address: command.server ?? undefined });
        break;
      case 'heartbeats':
        routing.heartbeats(command.lost);
        break;
      case 'begin dial': {
        const server = candidates(routing.state, routing.nowMs, routing.random)[command.place]?.server;
        if (server !== undefined) this.dials.push(server);
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
    const [server] =
      outcome === 'slow'
        ? [this.dials[which % Math.max(1, this.dials.length)]]
        : this.dials.splice(which % Math.max(1, this.dials.length), 1);
    if (server === undefined) return;
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
      if (effect.type === 'enter') this.#seen.push(effect.server);
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

  check(policy: Policy): void {
    const { servers } = this.routing.state;
    if (policy === 'sticky') {
      hold('one active', servers.filter(({ state }) => state === 'active').length <= 1);
    }
    const order = this.routing.order();
    const dialable = servers.filter(({ state }) => state !== 'invalid').map(({ address }) => address);
    hold('every server is a candidate, and no removed one', String([...order].sort()) === String(dialable.sort()));
    hold('never without a candidate', order.length > 0 || !servers.some(({ isListed }) => isListed));
    hold('one entry each', new Set(servers.map(({ address }) => address)).size === servers.length);
    for (const { address, incarnation, connections } of servers) {
      const mine = this.connections.filter(({ server }) => server.incarnation === incarnation);
      hold(`connections of ${address}: ${String(connections)} are ${String(mine.length)}`, connections === mine.length);
    }
    const isAnyWell = servers.some((server) => isWell(server) && !server.isDraining);
    for (const { server, endsByMs } of this.connections) {
      const entry = servers.find(({ incarnation }) => incarnation === server.incarnation);
      hold('no connection without its server', entry !== undefined);
      hold('connections of a removed server are being closed', entry?.state !== 'invalid' || endsByMs !== undefined);
      hold('the fall-back is left', entry?.state !== 'standby' || !isAnyWell || endsByMs !== undefined);
      const isLeft = entry?.state !== 'failed' || !isAnyWell || endsByMs !== undefined;
      hold('a failed server is left', isLeft || (isAnswerDue(entry) && !isOutlived(entry, servers)));
    }
    hold(
      'a server of a silent machine is not routed to while there is another',
      servers.every((server) => !isUnheard(server) || ['invalid', 'failed', 'standby'].includes(server.state)),
    );
    for (const server of servers) {
      const hasReason = server.isListed || server.isDefault || server.isLeaving;
      hold(`${server.address} is there for a reason`, hasReason === (server.state !== 'invalid'));
      hold('standby is the default alone', server.state !== 'standby' || (server.isDefault && !server.isListed));
    }
  }
}

/** A server that is well has answered since this one is silent. */
const isOutlived = ({ lastError }: Server, servers: readonly Server[]): boolean =>
  servers.some((other) => isWell(other) && (other.answeredAtMs ?? 0) >= (lastError?.silentSinceMs ?? 0));

/** Far faster than `expect`, of which there would be a million. */
function hold(invariant: string, holds: boolean): void {
  if (!holds) throw new Error(`does not hold: ${invariant}`);
}

/** Lives of `length` inputs. (Left alone, fast-check makes them far shorter than it may.) */
export const livesOf = (length: number): fc.Arbitrary<Command[]> =>
  fc.array(command, { minLength: length / 2, maxLength: length, size: 'max' });

/** @throws an Error that names the invariant which did not hold */
export function live(policy: Policy, commands: readonly Command[]): World {
  const world = new World(policy);
  for (const each of commands) {
    world.run(each);
    world.check(policy);
  }
  return world;
}
