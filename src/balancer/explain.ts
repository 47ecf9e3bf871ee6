/**
 * Answers for operators, as pure functions over the state: what stands (`listServers`), where the
 * next connection would go and why (`explainRouting`), and what would happen if (`simulate`).
 */
import { candidates, type Candidate } from './candidates.ts';
import type { BalancerEvent } from './balancer-event.ts';
import { reduce } from './reduce.ts';
import { refOf, type Effect, type Input } from './routing-input.ts';
import { isUnheard, serverAt, type Policy, type RoutingState, type Server, type ServerState } from './routing-state.ts';

export interface ServerView {
  readonly address: string;
  readonly state: ServerState;
  /** How long it has been in this state. */
  readonly forMs: number;
  readonly connections: number;
  readonly weight: number;
  /** "default", "pinned", "draining", "leaving", "suspect", "silent". */
  readonly marks: readonly string[];
  readonly dialMs?: number;
  readonly lastError?: { readonly source: string; readonly reason: string; readonly agoMs: number };
}

/** By address, whatever the order of dials is. */
export function listServers(state: RoutingState, nowMs: number): readonly ServerView[] {
  return [...state.servers]
    .sort((a, b) => (a.address < b.address ? -1 : 1))
    .map((server) => viewOf(state, server, nowMs));
}

function viewOf(state: RoutingState, server: Server, nowMs: number): ServerView {
  const { address, connections, weight, dialMs, lastError, sinceMs } = server;
  const marks = [
    ...(server.isDefault ? ['default'] : []),
    ...(state.pinned === address ? ['pinned'] : []),
    ...(server.isDraining ? ['draining'] : []),
    ...(server.isLeaving ? ['leaving'] : []),
    ...(server.isSuspect ? ['suspect'] : []),
    ...(isUnheard(server) ? ['silent'] : []),
  ];
  return {
    address,
    state: server.state,
    forMs: nowMs - sinceMs,
    connections,
    weight,
    marks,
    ...(dialMs === undefined ? {} : { dialMs }),
    ...(lastError === undefined
      ? {}
      : { lastError: { source: lastError.source, reason: lastError.reason, agoMs: nowMs - lastError.atMs } }),
  };
}

export interface Explanation {
  readonly policy: Policy;
  /** Where a connection would go now, first to last. */
  readonly candidates: readonly { readonly server: string; readonly why: string }[];
  /** Servers that would not be dialled at all. */
  readonly excluded: readonly { readonly server: string; readonly why: string }[];
}

export function explainRouting(state: RoutingState, nowMs: number, random: () => number): Explanation {
  return {
    policy: state.rules.policy,
    candidates: candidates(state, nowMs, random).map(inWords),
    excluded: state.servers
      .filter((server) => server.state === 'invalid')
      .map(({ address, connections }) => ({
        server: address,
        why: `removed; ${String(connections)} of its connections are still being closed`,
      })),
  };
}

const inWords = ({ server, why }: Candidate) => ({ server: server.address, why: why() });

/** One "what if": something that could happen to a server by its address. */
export type Supposition =
  | { readonly what: 'dial-ok' | 'dial-failed' | 'dial-slow' | 'check-ok' | 'check-failed'; readonly server: string }
  | { readonly what: 'drain' | 'undrain' | 'pin'; readonly server: string }
  | { readonly what: 'unpin' }
  | { readonly what: 'update'; readonly servers: readonly string[] };

export interface Simulation {
  readonly steps: readonly {
    readonly what: Supposition;
    readonly events: readonly BalancerEvent[];
    /** Where a new connection would go then. */
    readonly next: string | undefined;
  }[];
  readonly servers: readonly ServerView[];
}

/** What would happen, one after the other, from the present state on; nothing does. */
export function simulate(
  state: RoutingState,
  suppositions: readonly Supposition[],
  { nowMs, random }: { readonly nowMs: number; readonly random: () => number },
): Simulation {
  let present = state;
  const steps = suppositions.map((what) => {
    const input = inputOf(present, what);
    const step = input === undefined ? { state: present, effects: [] } : reduce(present, input, { nowMs, random });
    present = closedAtOnce(step.state, step.effects);
    return { what, events: eventsOf(step.effects), next: candidates(present, nowMs, random)[0]?.server.address };
  });
  return { steps, servers: listServers(present, nowMs) };
}

const eventsOf = (effects: readonly Effect[]): readonly BalancerEvent[] =>
  effects.flatMap((effect) => (effect.type === 'tell' ? [effect.event] : []));

/** In a simulation nobody waits for connections to end. */
function closedAtOnce(state: RoutingState, effects: readonly Effect[]): RoutingState {
  const closed = new Set(effects.flatMap((effect) => (effect.type === 'close' ? [effect.server.address] : [])));
  if (closed.size === 0) return state;
  return {
    ...state,
    servers: state.servers.flatMap((server) => {
      if (!closed.has(server.address)) return [server];
      return server.state === 'invalid' ? [] : [{ ...server, connections: 0, closingByMs: undefined }];
    }),
  };
}

function inputOf(state: RoutingState, supposition: Supposition): Input | undefined {
  switch (supposition.what) {
    case 'update':
      return { type: 'update', servers: supposition.servers.map((address) => ({ address })) };
    case 'unpin':
      return { type: 'unpin' };
    case 'drain':
    case 'undrain':
    case 'pin':
      return { type: supposition.what, address: supposition.server };
    default: {
      const found = serverAt(state, supposition.server);
      if (found === undefined) return undefined;
      const server = refOf(found);
      const reason = 'supposed';
      const inputs = {
        'dial-ok': { type: 'dial', server, outcome: 'ok', tookMs: 1 },
        'dial-failed': { type: 'dial', server, outcome: 'failed', reason, tookMs: 0 },
        'dial-slow': { type: 'dial', server, outcome: 'slow' },
        'check-ok': { type: 'check', server, outcome: 'ok', tookMs: 1 },
        'check-failed': { type: 'check', server, outcome: 'failed', reason },
      } as const satisfies Record<string, Input>;
      return inputs[supposition.what];
    }
  }
}
