/**
 * What a node knows of another by its heartbeats. Pure: the only place where that changes.
 *
 *   new ──answered──► alive ──missed──► doubtful ──missed──► silent
 *                       ▲                  │                   │
 *                       └────answered──────┴───────────────────┘
 *
 * The numbers make a promise: one that falls silent is marked within 3 s (issue: H9). Just after an
 * answer, the next beat begins {@link beatEveryMs} later and is given up after {@link answerWithinMs};
 * the second chance follows after {@link secondChanceMs} on a connection of its own, so that a broken
 * connection alone is no silence. 0.7 + 0.8 + 0.1 + 0.8 = 2.4 s.
 */

export const beatEveryMs = 700;
export const answerWithinMs = 800;
const secondChanceMs = 100;
/** One that is silent is asked more seldom, and still found within this when it is back. */
const silentEveryMs = 2_000;
/** Weight of the newest answer. Source: RFC 6298, the smoothing of round-trip times. */
const newestShare = 1 / 8;

export type PeerState =
  | { readonly id: 'new' }
  | { readonly id: 'alive'; readonly sinceMs: number; readonly latencyMs: number }
  /** One beat was not answered. `sinceMs`: of the last answer, or of when it was first asked. */
  | {
      readonly id: 'doubtful';
      readonly sinceMs: number;
      readonly latencyMs: number | undefined;
      readonly reason: string;
    }
  | { readonly id: 'silent'; readonly sinceMs: number; readonly reason: string };

export type PeerInput =
  { readonly kind: 'answered'; readonly tookMs: number } | { readonly kind: 'missed'; readonly reason: string };

export interface PeerStep {
  readonly state: PeerState;
  /** Until the next beat. */
  readonly nextInMs: number;
  /** What others are to be told. */
  readonly change?: 'silent' | 'back';
}

export const newPeer: PeerState = { id: 'new' };

/** @param nowMs - wall clock: people are shown since when */
export function stepPeer(state: PeerState, input: PeerInput, nowMs: number): PeerStep {
  return input.kind === 'answered' ? onAnswered(state, input.tookMs, nowMs) : onMissed(state, input.reason, nowMs);
}

function onAnswered(state: PeerState, tookMs: number, nowMs: number): PeerStep {
  const before = 'latencyMs' in state ? state.latencyMs : undefined;
  const latencyMs = before === undefined ? tookMs : before + newestShare * (tookMs - before);
  const sinceMs = state.id === 'alive' ? state.sinceMs : nowMs;
  const alive: PeerState = { id: 'alive', sinceMs, latencyMs };
  return { state: alive, nextInMs: beatEveryMs, ...(state.id === 'silent' ? { change: 'back' as const } : {}) };
}

function onMissed(state: PeerState, reason: string, nowMs: number): PeerStep {
  switch (state.id) {
    case 'new':
      return { state: { id: 'doubtful', sinceMs: nowMs, latencyMs: undefined, reason }, nextInMs: secondChanceMs };
    case 'alive': {
      const { latencyMs } = state;
      return { state: { id: 'doubtful', sinceMs: nowMs, latencyMs, reason }, nextInMs: secondChanceMs };
    }
    case 'doubtful':
      return { state: { id: 'silent', sinceMs: nowMs, reason }, nextInMs: beatEveryMs, change: 'silent' };
    case 'silent':
      return { state: { ...state, reason }, nextInMs: silentEveryMs };
  }
}
