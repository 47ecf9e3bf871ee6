/**
 * A balancer that runs: the routing state with everything that it is connected to.
 *
 * All inputs go through `dispatch`, one after the other, each with its effects performed before the
 * next one is taken; so nothing can come between a decision and what it means. Sockets are the
 * forwarder's, checks run by themselves; both only report.
 */
import type { EventStream } from '../event/stream.ts';
import type { Clock } from '../kernel/clock.ts';
import { oneByOne } from '../kernel/one-by-one.ts';
import { unreachable } from '../kernel/unreachable.ts';
import type { Probe } from '../probe/probe.ts';
import type { BalancerEvent } from './balancer-event.ts';
import { candidates } from './candidates.ts';
import { checkLoop, defaultCheckPace, type CheckLoop, type CheckPace } from './check-loop.ts';
import {
  explainRouting,
  listServers,
  simulate,
  type Explanation,
  type ServerView,
  type Simulation,
  type Supposition,
} from './explain.ts';
import type { Forwarder, Routes } from './forwarder.ts';
import { reduce } from './reduce.ts';
import type { Effect, Input, ServerRef, ServerSpec } from './routing-input.ts';
import { routedConnections } from './routed-connections.ts';
import {
  emptyRouting,
  isDialable,
  isProven,
  serverAt,
  type Heartbeats,
  type RoutingState,
  type Rules,
} from './routing-state.ts';

export interface BalancerOptions {
  readonly rules?: Partial<Rules>;
  /** Makes the check of a server; absent or undefined: it is not checked. */
  readonly createCheck?: (address: string) => Probe | undefined;
  readonly checkPace?: CheckPace | undefined;
  readonly events: EventStream<BalancerEvent>;
  readonly clock: Clock;
  readonly random: () => number;
}

export interface Balancer extends AsyncDisposable {
  readonly state: RoutingState;
  /** At least one server has answered since it was new or failed. */
  readonly isReachable: boolean;
  /** What a forwarder asks and tells. */
  readonly routes: Routes;
  /** Effects on connections go there; at most one. */
  attach(forwarder: Forwarder): void;
  update(servers: readonly ServerSpec[]): void;
  setDefault(address: string | undefined): void;
  /** What heartbeats between machines show: of all of them, whenever anything changes. */
  heartbeats(heartbeats: Heartbeats): void;
  operate(input: Extract<Input, { type: 'drain' | 'undrain' | 'pin' | 'unpin' }>): void;
  list(): readonly ServerView[];
  explain(): Explanation;
  simulate(suppositions: readonly Supposition[]): Simulation;
}

export function createBalancer(options: BalancerOptions): Balancer {
  const { rules = {}, createCheck, checkPace: pace = defaultCheckPace, events, clock, random } = options;
  let state = emptyRouting(rules);
  let forwarder: Forwarder | undefined;
  let connectionCount = 0;
  const checks = new Map<number, CheckLoop>();
  const routed = routedConnections(clock, (event) => events.emit(event));
  /** What came before is told before. */
  const tell = (event: BalancerEvent) => {
    routed.tell();
    events.emit(event);
  };
  const isReachable = () => state.servers.some(isProven);
  const dispatch = oneByOne((input: Input) => {
    const wasReachable = isReachable();
    const step = reduce(state, input, { nowMs: clock.monotonicMs(), random });
    state = step.state;
    for (const effect of step.effects) perform(effect);
    if (!wasReachable && isReachable()) forwarder?.dialHeld();
  });

  const perform = (effect: Effect) => {
    switch (effect.type) {
      case 'tell':
        tell(effect.event);
        return;
      case 'enter':
        beginCheck(effect.server);
        return;
      case 'leave':
        checks.get(effect.server.incarnation)?.[Symbol.dispose]();
        checks.delete(effect.server.incarnation);
        return;
      case 'abandon':
        forwarder?.abandonDials(effect.server);
        return;
      case 'recheck':
        checks.get(effect.server.incarnation)?.recheck();
        return;
      case 'close':
        forwarder?.closeConnections(effect.server, effect.withinMs);
        return;
      case 'keep':
        forwarder?.keepConnections(effect.server);
        return;
      case 'discard':
        // `dialled` has answered its caller with it.
        return;
      default:
        unreachable(effect);
    }
  };

  const beginCheck = (server: ServerRef) => {
    const probe = createCheck?.(server.address);
    if (probe === undefined || checks.has(server.incarnation)) return;
    const report: Parameters<typeof checkLoop>[0]['report'] = (result) =>
      dispatch({ type: 'check', server, ...result });
    const isUsed = () => (serverAt(state, server.address)?.connections ?? 0) > 0;
    checks.set(server.incarnation, checkLoop({ probe, pace, clock, random, isUsed, report }));
  };

  const isKnown = ({ address, incarnation }: ServerRef) => {
    const server = serverAt(state, address);
    return server?.incarnation === incarnation && isDialable(server);
  };

  const routes: Routes = {
    candidates: () => candidates(state, clock.monotonicMs(), random),
    dialled(server, outcome) {
      const isWanted = isKnown(server);
      dispatch({ type: 'dial', server, ...outcome });
      return isWanted;
    },
    closed: (server, { broken }) => dispatch({ type: 'closed', server, broken }),
    silent: (server) => dispatch({ type: 'silent', server }),
    isReachable,
    decided({ candidates: asked, attempts, chosen, tookMs, gaveUp }) {
      connectionCount += 1;
      const [first] = asked;
      if (chosen !== undefined && first !== undefined && attempts.length === 1) {
        routed.add(first, tookMs);
        return;
      }
      tell({
        type: 'lb.decision',
        connection: connectionCount,
        candidates: asked.map(({ server, why }) => ({ server: server.address, why: why() })),
        attempts: [...attempts],
        tookMs,
        ...(chosen === undefined ? {} : { chosen: chosen.address }),
        ...(gaveUp === undefined ? {} : { gaveUp }),
      });
    },
  };

  return {
    get state() {
      return state;
    },
    get isReachable() {
      return isReachable();
    },
    routes,
    attach(attached) {
      forwarder = attached;
    },
    update: (servers) => dispatch({ type: 'update', servers }),
    setDefault: (address) => dispatch({ type: 'default', address }),
    heartbeats: (heartbeats) => dispatch({ type: 'heartbeats', ...heartbeats }),
    operate: dispatch,
    list: () => listServers(state, clock.monotonicMs()),
    explain: () => explainRouting(state, clock.monotonicMs(), random),
    simulate: (suppositions) => simulate(state, suppositions, { nowMs: clock.monotonicMs(), random }),
    async [Symbol.asyncDispose]() {
      for (const check of checks.values()) check[Symbol.dispose]();
      checks.clear();
      routed.tell();
      await forwarder?.[Symbol.asyncDispose]();
    },
  };
}
