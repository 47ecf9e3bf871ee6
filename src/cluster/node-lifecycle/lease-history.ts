/**
 * How long a Lease has stood still, by what looks at the API have shown so far. Pure.
 *
 * No clock of another machine is asked, nor is each Lease remembered: a list says which revision of the cluster's
 * data it shows, and a Lease the one of its last renewal. One whose renewal is no newer than what an earlier look
 * showed has stood still since that look, on the clock of who looked.
 *
 * While nobody can write, all Leases stand still, and after that their owners need time. So what was seen counts
 * only if looks follow each other without a gap, and the revision goes on meanwhile.
 * Source: Kubernetes API concepts, "Resource versions" (of one kind they can be compared as numbers; those of etcd are
 * its revision).
 */

export interface LeaseHistory {
  /** The oldest first; those that showed the same are one, the first. Times are of the own monotonic clock. */
  readonly looks: readonly { readonly revision: number; readonly endedMs: number }[];
  readonly lastMs: number;
}

export const nothingLooked: LeaseHistory = { looks: [], lastMs: 0 };

/** Between two looks. */
export const longestGapMs = 20_000;
/** Without a new revision, at most. */
const usualStillMs = 30_000;
/** From the end of that to the end of the grace: a node that could not renew its Lease meanwhile has time to do it. */
const renewalMs = 20_000;
/** With less, a cluster at rest would look like one that cannot write: API servers renew theirs every 10 s, then a look's pause. */
const leastStillMs = 17_000;

/**
 * For how long no new revision may be seen before what was seen counts no more, in milliseconds.
 *
 * @param graceMs - for which nodes may be silent; with one of less than 37 s those that could not renew have less time
 */
export const longestStillMs = (graceMs: number): number =>
  Math.max(leastStillMs, Math.min(usualStillMs, graceMs - renewalMs));

export interface LeaseLook {
  /** Of the list. */
  readonly revision: number;
  readonly endedMs: number;
}

export interface LeaseHistoryLimits {
  /** For how long back anybody will ask. */
  readonly keepMs: number;
  readonly graceMs: number;
}

export function afterLook(
  { looks, lastMs }: LeaseHistory,
  look: LeaseLook,
  { keepMs, graceMs }: LeaseHistoryLimits,
): LeaseHistory {
  const newest = looks.at(-1);
  const goesOn =
    newest !== undefined &&
    look.endedMs - lastMs <= longestGapMs &&
    look.revision >= newest.revision &&
    look.endedMs - newest.endedMs <= longestStillMs(graceMs);
  if (!goesOn) return { looks: [look], lastMs: look.endedMs };
  const all = look.revision === newest.revision ? looks : [...looks, look];
  // The last of those that are older than anybody asks stays.
  const first = all.findLastIndex(({ endedMs }) => look.endedMs - endedMs >= keepMs);
  return { looks: all.slice(Math.max(first, 0)), lastMs: look.endedMs };
}

/**
 * For at least how long it had stood still, in milliseconds.
 *
 * @param version - `metadata.resourceVersion` of the Lease; 0: there is none
 * @param startedMs - when the look began that has shown it: it is no older
 */
export function stillForMs({ looks }: LeaseHistory, version: number, startedMs: number): number {
  const shown = looks.find(({ revision }) => revision >= version);
  return shown === undefined ? 0 : Math.max(0, startedMs - shown.endedMs);
}
