/**
 * What a node knows of another by its heartbeats. Pure: the only place where that changes.
 *
 *   new ──answered──► alive ──missed──► doubtful ──missed──► silent
 *                       ▲                  │                   │
 *                       └────answered──────┴───────────────────┘
 *
 * The numbers make a promise: one that falls silent is marked within 3 s (issue: H9), and within 1.3 s
 * among few nodes. Just after an answer, the next beat begins {@link beatEveryMs} later and is given up
 * after {@link answerWithinMs}; the second chance follows after {@link secondChanceMs} on a connection of
 * its own, so that a broken connection alone is no silence. 0.25 + 0.5 + 0.05 + 0.5 = 1.3 s.
 *
 * Lost is more than silent: it was heard before, and its machine says nothing at all. One that refuses
 * is there: its service is only not running, which tells nothing of what else runs on it.
 */

/** Of each peer, among so many: a node makes 25 beats a second at most, whatever the size of the cluster. */
export const beatEveryMs = (peers: number): number => Math.max(250, peers * 40);
/** As long as a balancer waits for one check (balancer/check-loop.ts). */
export const answerWithinMs = 500;
const secondChanceMs = 50;
/** One that is silent is asked more seldom, and still found within this when it is back. */
const silentEveryMs = 1_000;
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
  | {
      readonly id: 'silent';
      readonly sinceMs: number;
      readonly reason: string;
      /** It had answered before. */
      readonly wasHeard: boolean;
      readonly isLost: boolean;
    };

export type PeerInput =
  | { readonly kind: 'answered'; readonly tookMs: number }
  /** `isUnanswered`: nothing of its machine has said anything, not even no. */
  | { readonly kind: 'missed'; readonly reason: string; readonly isUnanswered: boolean };

export interface PeerStep {
  readonly state: PeerState;
  /** Until the next beat. */
  readonly nextInMs: number;
  /** What others are to be told. */
  readonly change?: 'silent' | 'back';
}

export const newPeer: PeerState = { id: 'new' };

export interface StepContext {
  /** Wall clock: people are shown since when. */
  readonly nowMs: number;
  /** How many peers are asked. */
  readonly peers: number;
}

export function stepPeer(state: PeerState, input: PeerInput, context: StepContext): PeerStep {
  return input.kind === 'answered' ? onAnswered(state, input.tookMs, context) : onMissed(state, input, context);
}

function onAnswered(state: PeerState, tookMs: number, { nowMs, peers }: StepContext): PeerStep {
  const before = 'latencyMs' in state ? state.latencyMs : undefined;
  const latencyMs = before === undefined ? tookMs : before + newestShare * (tookMs - before);
  const sinceMs = state.id === 'alive' ? state.sinceMs : nowMs;
  const alive: PeerState = { id: 'alive', sinceMs, latencyMs };
  return { state: alive, nextInMs: beatEveryMs(peers), ...(state.id === 'silent' ? { change: 'back' as const } : {}) };
}

type Missed = Extract<PeerInput, { kind: 'missed' }>;

function onMissed(state: PeerState, { reason, isUnanswered }: Missed, { nowMs, peers }: StepContext): PeerStep {
  switch (state.id) {
    case 'new':
      return { state: { id: 'doubtful', sinceMs: nowMs, latencyMs: undefined, reason }, nextInMs: secondChanceMs };
    case 'alive': {
      const { latencyMs } = state;
      return { state: { id: 'doubtful', sinceMs: nowMs, latencyMs, reason }, nextInMs: secondChanceMs };
    }
    case 'doubtful': {
      const wasHeard = state.latencyMs !== undefined;
      const silent: PeerState = { id: 'silent', sinceMs: nowMs, reason, wasHeard, isLost: wasHeard && isUnanswered };
      return { state: silent, nextInMs: beatEveryMs(peers), change: 'silent' };
    }
    case 'silent':
      return { state: { ...state, reason, isLost: state.wasHeard && isUnanswered }, nextInMs: silentEveryMs };
  }
}
