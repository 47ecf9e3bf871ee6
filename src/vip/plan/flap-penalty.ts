/**
 * How little a node is to be trusted that comes and goes: each time that it goes adds 1, and what has
 * been added decays with a half-life. The planner halves its capacity for each, for what comes new.
 * Pure: time is handed in.
 */

export interface FlapPenalty {
  /** As it was at `atMs`. */
  readonly value: number;
  /** Monotonic. */
  readonly atMs: number;
}

/** Half of a penalty is forgotten in this time. Source: the default of BGP's route flap damping, RFC 2439 as deployed. */
export const flapHalfLifeMs = 15 * 60_000;

/** A node that has flapped for an hour is not to be kept out for the day. */
const most = 6;
/** What is less is none: it would only move addresses for nothing. */
const least = 0.25;

export const noPenalty: FlapPenalty = { value: 0, atMs: 0 };

/** The node went away (dead, or not ready). */
export const flapped = (before: FlapPenalty, nowMs: number, halfLifeMs = flapHalfLifeMs): FlapPenalty => ({
  value: Math.min(most, decayed(before, nowMs, halfLifeMs) + 1),
  atMs: nowMs,
});

/** What the planner is given: one that has gone away once, long ago, has none. */
export function penaltyAt(penalty: FlapPenalty, nowMs: number, halfLifeMs = flapHalfLifeMs): number {
  // The first time is no flap: a node that was lost and is back is to have its share.
  const value = decayed(penalty, nowMs, halfLifeMs) - 1;
  return value < least ? 0 : value;
}

/** When `penaltyAt` comes to 0; undefined: it is. */
export function forgottenAtMs(penalty: FlapPenalty, nowMs: number, halfLifeMs = flapHalfLifeMs): number | undefined {
  if (penaltyAt(penalty, nowMs, halfLifeMs) === 0) return undefined;
  return penalty.atMs + halfLifeMs * Math.log2(penalty.value / (1 + least));
}

const decayed = ({ value, atMs }: FlapPenalty, nowMs: number, halfLifeMs: number): number =>
  value * 2 ** -(Math.max(0, nowMs - atMs) / halfLifeMs);
