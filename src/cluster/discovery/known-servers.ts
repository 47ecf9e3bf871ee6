/**
 * The servers that this node knows: how quick each is, when it last answered, when it may be asked
 * again. One value, changed by pure functions; what is kept of it over a restart is known-servers-file.ts's.
 *
 * Order of asking (demand H3): those that are due before those in backoff; among the due ones who
 * answered last time before who was never asked before who failed; the quicker one first. A server
 * that nobody has asked is therefore tried as soon as one that worked is silent. Last of all come those
 * whose machines have fallen silent, as heartbeats show (demand H9): asked they are all the same.
 */
import { backoffDelayMs, type Backoff } from '../../kernel/backoff.ts';

export interface KnownServer {
  /** https://host:port of its join server. */
  readonly origin: string;
  /** Named by a person (`--server`, or an address that such a name resolves to), or told by another server. */
  readonly source: 'given' | 'learned';
  /** Smoothed time of its answers, milliseconds; undefined before the first. */
  readonly latencyMs: number | undefined;
  /** Wall clock, because it is kept over restarts. */
  readonly lastSuccessMs: number | undefined;
  /** When another server last told of it, wall clock. */
  readonly lastToldMs: number | undefined;
  /** In a row. */
  readonly failures: number;
  /** Wall clock; undefined: at once. */
  readonly retryAtMs: number | undefined;
  readonly lastError: string | undefined;
}

/** As they were named or learned; one entry for each origin. */
export type KnownServers = readonly KnownServer[];

/** Weight of the newest answer. Source: RFC 6298, the smoothing of round-trip times. */
const newestShare = 1 / 8;
/** Retries of one server: 0.5 s, doubled up to 30 s, a fifth of it random, so that nodes do not ask in step. */
export const serverBackoff: Backoff = { firstMs: 500, factor: 2, maxMs: 30_000, jitter: 0.2 };
/** A learned server that nobody has told of, and that has not answered, for so long is forgotten: its address may be somebody else's by now. */
export const forgetAfterMs = 7 * 24 * 3_600_000;

const fresh = (origin: string, source: KnownServer['source'], lastToldMs: number | undefined): KnownServer => ({
  origin,
  source,
  latencyMs: undefined,
  lastSuccessMs: undefined,
  lastToldMs,
  failures: 0,
  retryAtMs: undefined,
  lastError: undefined,
});

/** Adds those that a person names; what is known of one stays, and it is `given` from then on. */
export function withServers(known: KnownServers, origins: readonly string[]): KnownServers {
  return withNames(known, origins, 'given', (one) => ({ ...one, source: 'given' }));
}

/** Adds those that another server tells of at `nowMs` (wall clock); what is known of one stays. */
export function withTold(known: KnownServers, origins: readonly string[], nowMs: number): KnownServers {
  return withNames(known, origins, 'learned', (one) => ({ ...one, lastToldMs: nowMs }), nowMs);
}

function withNames(
  known: KnownServers,
  origins: readonly string[],
  source: KnownServer['source'],
  change: (one: KnownServer) => KnownServer,
  toldMs?: number,
): KnownServers {
  const names = new Set(origins);
  const there = new Set(known.map(({ origin }) => origin));
  return [
    ...known.map((one) => (names.has(one.origin) ? change(one) : one)),
    ...[...names].filter((origin) => !there.has(origin)).map((origin) => fresh(origin, source, toldMs)),
  ];
}

/** Adds what another process of this node has found out meanwhile; of those known to both, this one's view stays. */
export function withOthers(known: KnownServers, others: KnownServers): KnownServers {
  const there = new Set(known.map(({ origin }) => origin));
  return [...known, ...others.filter(({ origin }) => !there.has(origin))];
}

export type Observation =
  | { readonly origin: string; readonly ok: true; readonly tookMs: number }
  | { readonly origin: string; readonly ok: false; readonly reason: string };

/** @param random - returns [0, 1): jitter of the next retry */
export function observed(
  known: KnownServers,
  observation: Observation,
  nowMs: number,
  random: () => number,
): KnownServers {
  return known.map((one) => {
    if (one.origin !== observation.origin) return one;
    if (!observation.ok) {
      const failures = one.failures + 1;
      return {
        ...one,
        failures,
        retryAtMs: nowMs + backoffDelayMs(serverBackoff, failures, random),
        lastError: observation.reason,
      };
    }
    const { latencyMs } = one;
    return {
      ...one,
      latencyMs:
        latencyMs === undefined ? observation.tookMs : latencyMs + newestShare * (observation.tookMs - latencyMs),
      lastSuccessMs: nowMs,
      failures: 0,
      retryAtMs: undefined,
      lastError: undefined,
    };
  });
}

/** Drops learned servers of which nothing was heard for a week. Those that a person named stay. */
export function withoutOld(known: KnownServers, nowMs: number): KnownServers {
  return known.filter(
    ({ source, lastSuccessMs = 0, lastToldMs = 0 }) =>
      source === 'given' || nowMs - Math.max(lastSuccessMs, lastToldMs) < forgetAfterMs,
  );
}

/**
 * All of them, in the order in which to ask.
 *
 * @param lost - hosts of which no heartbeat is heard any more
 */
export function askingOrder(known: KnownServers, nowMs: number, lost: readonly string[] = []): KnownServers {
  const isLost = ({ origin }: KnownServer) => lost.length > 0 && lost.includes(new URL(origin).hostname);
  const waitMs = ({ retryAtMs }: KnownServer) => Math.max(0, (retryAtMs ?? 0) - nowMs);
  const rank = ({ failures, lastSuccessMs }: KnownServer) => (failures > 0 ? 2 : lastSuccessMs === undefined ? 1 : 0);
  const latency = ({ latencyMs }: KnownServer) => latencyMs ?? Number.POSITIVE_INFINITY;
  return [...known].sort(
    (a, b) =>
      Number(isLost(a)) - Number(isLost(b)) ||
      waitMs(a) - waitMs(b) ||
      rank(a) - rank(b) ||
      compare(latency(a), latency(b)) ||
      // Sorting is stable: of equals, the one that was named first.
      Number(a.source === 'learned') - Number(b.source === 'learned'),
  );
}

/** Milliseconds until one of them may be asked; 0 when one may be now. */
export function nextDueInMs(known: KnownServers, nowMs: number): number {
  return known.length === 0 ? 0 : Math.min(...known.map(({ retryAtMs }) => Math.max(0, (retryAtMs ?? 0) - nowMs)));
}

/** Infinity less Infinity is no number. */
const compare = (a: number, b: number): number => (a === b ? 0 : a - b);
