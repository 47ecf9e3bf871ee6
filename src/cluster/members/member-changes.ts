/**
 * Which members of etcd have to go. Pure.
 *
 * Two kinds have: those whose Node was deleted, which is how a person says that a machine is gone for
 * good; and learners that make no progress, because one of them keeps every other out.
 */
import type { EtcdMember, MemberId } from '../etcd/etcd-messages.ts';

export interface NodeFacts {
  /** Names of the members that have a Node now. */
  readonly present: ReadonlySet<string>;
  /** Names of the members that were ever seen with one: a server without a node never has. */
  readonly seen: ReadonlySet<string>;
}

export interface MemberChanges {
  readonly remove: readonly EtcdMember[];
  /** To be kept for the next look. */
  readonly seen: readonly string[];
}

/** The last voter stays: without it there is no cluster to be removed from. */
export function changesByNodes(members: readonly EtcdMember[], { present, seen }: NodeFacts): MemberChanges {
  const isGone = ({ name }: EtcdMember) => name !== '' && seen.has(name) && !present.has(name);
  const wouldStay = members.some((one) => !one.isLearner && !isGone(one));
  const remove = wouldStay ? members.filter(isGone) : [];
  const left = members.filter((one) => !remove.includes(one)).map(({ name }) => name);
  return { remove, seen: left.filter((name) => present.has(name) || seen.has(name)).sort() };
}

/** How far a learner is, and since when. */
export interface Progress {
  readonly appliedIndex: number;
  readonly sinceMs: number;
}

/** Source: K3s gives a learner five minutes without progress. */
export const stalledAfterMs = 5 * 60_000;

/** @param appliedIndex - undefined when it does not answer, which is no progress */
export function withProgress(
  progress: ReadonlyMap<MemberId, Progress>,
  learners: ReadonlyMap<MemberId, number | undefined>,
  nowMs: number,
): { readonly progress: ReadonlyMap<MemberId, Progress>; readonly stalled: readonly MemberId[] } {
  const next = new Map<MemberId, Progress>();
  for (const [id, appliedIndex = 0] of learners) {
    const before = progress.get(id);
    next.set(
      id,
      before === undefined || appliedIndex > before.appliedIndex ? { appliedIndex, sinceMs: nowMs } : before,
    );
  }
  const stalled = [...next].filter(([, { sinceMs }]) => nowMs - sinceMs >= stalledAfterMs).map(([id]) => id);
  return { progress: next, stalled };
}
