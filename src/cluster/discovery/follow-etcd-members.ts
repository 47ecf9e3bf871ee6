/**
 * Follows which members etcd has for as long as a balancer before them runs: asks them themselves,
 * through the balancer, now and then. A learner is no member to read from yet. Whoever is told of
 * the list keeps it.
 */
import { jitteredMs } from '../../kernel/backoff.ts';
import { sleep, type Clock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/message-of.ts';
import { saidOnce } from '../../kernel/said-once.ts';
import type { EtcdMember } from '../etcd/etcd-messages.ts';

export interface FollowMembersPorts {
  /** As the quorum knows them. */
  readonly members: (signal: AbortSignal) => Promise<readonly EtcdMember[]>;
  /** URLs for clients, whenever they are others than before; never none. */
  readonly update: (clientUrls: readonly string[]) => void;
  readonly clock: Clock;
  /** [0, 1): spreads the questions of many machines. */
  readonly random: () => number;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

/** A member that was added is needed only when others fail. Source: K3s asks every 30 s. */
export const membersEveryMs = 10_000;
const jitter = 0.2;

/** Runs until `signal` aborts, and then rejects with its reason. */
export async function followEtcdMembers(ports: FollowMembersPorts): Promise<never> {
  const { members, update, clock, random, log, signal } = ports;
  let last = '';
  const say = saidOnce(log);
  for (;;) {
    try {
      const urls = clientUrlsOf(await members(signal));
      if (urls.length > 0 && urls.join() !== last) update(urls);
      if (urls.length > 0) last = urls.join();
      say(undefined);
    } catch (error) {
      signal.throwIfAborted();
      say(`etcd does not tell its members: ${messageOf(error)}`);
    }
    await sleep(clock, jitteredMs(membersEveryMs, jitter, random), signal);
  }
}

/** Sorted. One that was added and has never run has no URL yet. */
export const clientUrlsOf = (members: readonly EtcdMember[]): readonly string[] =>
  [...new Set(members.flatMap(({ isLearner, clientUrls }) => (isLearner ? [] : clientUrls)))].sort();
