/**
 * The order in which servers are dialled for a new connection, with the reason for each one's place.
 * Pure: it reads the routing state and changes nothing.
 *
 * Every server that has not been removed is in it, the failed ones too: when all look down, a check
 * may be wrong, and refusing a client helps nobody (fail-open).
 */
import { formatDurationMs } from '../kernel/duration.ts';
import { refOf, type ServerRef } from './routing-input.ts';
import { isDialable, isMute, isUnheard, isWaiting, type RoutingState, type Server } from './routing-state.ts';

export interface Candidate {
  readonly server: ServerRef;
  /** Why it stands where it stands, at the time when it was put there. Worded only when somebody asks. */
  why(): string;
}

/** What is tried first, and so on. Between two of one tier, the policy decides. */
const tiers = [
  'pinned',
  'active',
  'preferred',
  'healthy',
  'suspect',
  'recovering',
  'unchecked',
  'leaving',
  'standby',
  'waiting',
  'mute',
  'failed',
  'silent',
  'draining',
] as const;
type Tier = (typeof tiers)[number];

/** Among these `weighted-random` draws as among equals. */
const drawn = new Set<Tier>(['active', 'preferred', 'healthy']);

/** Of these, who answered last comes first. */
const troubled = new Set<Tier>(['waiting', 'mute', 'failed', 'silent']);

export function tierOf(state: RoutingState, server: Server): Tier {
  if (state.pinned === server.address) return 'pinned';
  if (server.isDraining) return 'draining';
  // Its checks go well all the same: the best of those that have something against them.
  if (isUnheard(server)) return (server.answeredAtMs ?? -1) > (server.unheardSinceMs ?? 0) ? 'failed' : 'silent';
  if (isWaiting(server)) return 'waiting';
  if (isMute(server) && (server.isSuspect || server.lastError?.silentSinceMs !== undefined)) return 'mute';
  if (server.isLeaving && server.state !== 'failed') return 'leaving';
  if (server.isSuspect) return 'suspect';
  return server.state === 'invalid' ? 'failed' : server.state;
}

/** @param random - in [0, 1); only `weighted-random` draws */
export function candidates(state: RoutingState, nowMs: number, random: () => number): readonly Candidate[] {
  return inOrder(state, random).map((server) => ({
    server: refOf(server),
    why: () => `${tierReason(state, server, nowMs)}${policyReason(state, server)}`,
  }));
}

/** The servers themselves, in the order of {@link candidates}. */
export function inOrder(state: RoutingState, random: () => number): readonly Server[] {
  const isDrawn = state.rules.policy === 'weighted-random';
  const placed = state.servers.filter(isDialable).map((server) => {
    const tier = tierOf(state, server);
    return {
      server,
      tier: isDrawn && drawn.has(tier) ? tiers.indexOf('active') : tiers.indexOf(tier),
      // Efraimidis and Spirakis: the largest of random^(1/weight) is drawn in proportion to the weights.
      draw: isDrawn ? (server.weight > 0 ? random() ** (1 / server.weight) : -1) : server.connections,
      // When all have failed, who answered last is the likeliest to answer again.
      answeredAtMs: troubled.has(tier) ? (server.answeredAtMs ?? -1) : 0,
    };
  });
  placed.sort(
    (a, b) => a.tier - b.tier || b.answeredAtMs - a.answeredAtMs || b.draw - a.draw || a.server.rank - b.server.rank,
  );
  return placed.map(({ server }) => server);
}

function tierReason(state: RoutingState, server: Server, nowMs: number): string {
  const { connections, sinceMs, lastError } = server;
  const carried = `${String(connections)} ${connections === 1 ? 'connection' : 'connections'}`;
  const agoMs = formatDurationMs(nowMs - sinceMs);
  const failure =
    lastError === undefined
      ? ''
      : ` (${lastError.source}: ${lastError.reason}, ${formatDurationMs(nowMs - lastError.atMs)} ago)`;
  const tier = tierOf(state, server);
  switch (tier) {
    case 'pinned':
      return 'pinned by an operator';
    case 'active':
      return `active, carries ${carried}`;
    case 'preferred':
      return `became well ${agoMs} ago`;
    case 'healthy':
      return `well for ${agoMs}`;
    case 'suspect':
      return `active with ${carried}, under suspicion${failure}: slow when last dialled, or a connection broke`;
    case 'recovering':
      return `answered once, ${agoMs} ago`;
    case 'unchecked':
      return `new for ${agoMs}, nothing known yet`;
    case 'leaving':
      return 'no longer in the list, kept until one that is has answered';
    case 'standby':
      return 'the default, not in the list: for when nothing of it is left';
    case 'failed':
      return `failed ${agoMs} ago${failure}: only when nothing better is left`;
    case 'waiting':
      return `its check has no answer for ${agoMs}${failure}: it may only wait for etcd`;
    case 'mute':
      return 'accepts connections and does not even greet: after those that do';
    case 'silent':
      return `nothing is heard of its machine for ${formatDurationMs(nowMs - (server.unheardSinceMs ?? nowMs))}: after those that only failed`;
    case 'draining':
      return 'drained by an operator: last of all';
  }
}

function policyReason({ rules }: RoutingState, { weight }: Server): string {
  return rules.policy === 'weighted-random' ? `, weight ${String(weight)}` : '';
}
