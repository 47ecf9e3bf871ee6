/**
 * Keeps the members of etcd what they should be, as a loop beside the join server: promotes learners
 * whose own machine has not done it, removes those that stall, removes the member of a deleted Node,
 * and writes down who there is, for a start at which nobody answers.
 *
 * Every server does it. What two of them do at once is done once, and the other is told so.
 */
import * as z from 'zod';
import { parseJson } from '../../kernel/json.ts';
import { jitteredMs } from '../../kernel/backoff.ts';
import { sleep, type Clock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/message-of.ts';
import { saidOnce } from '../../kernel/said-once.ts';
import type { EtcdClient } from '../etcd/etcd-client.ts';
import { EtcdError, type EtcdReason } from '../etcd/etcd-error.ts';
import type { EtcdMember, MemberId } from '../etcd/etcd-messages.ts';
import { unlessMissing, type KubeClient } from '../kube-client.ts';
import { changesByNodes, withProgress, type Progress } from './member-changes.ts';

export interface KeepMembersPorts {
  readonly etcd: Pick<EtcdClient, 'memberList' | 'memberPromote' | 'memberRemove' | 'status' | 'get' | 'put'>;
  readonly connect: () => Promise<Pick<KubeClient, 'get'> & Disposable>;
  /** Keeps who the members are, and where they can be asked. */
  readonly remember: (members: readonly EtcdMember[]) => Promise<void>;
  readonly clock: Clock;
  /** [0, 1): the servers look at different times. */
  readonly random: () => number;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Source: K3s, the tick of its learners' and members' controllers. */
const everyMs = 15_000;
/** The names of members that were seen with a Node, for every server and over restarts. */
const seenKey = '/k3s-lite/members-with-nodes';
const seenSchema = z.array(z.string()).catch([]);

/** Runs until `signal` aborts, and then rejects with its reason. */
export async function keepMembers(ports: KeepMembersPorts): Promise<never> {
  const { etcd, remember, clock, random, log, signal } = ports;
  let progress: ReadonlyMap<MemberId, Progress> = new Map();
  const say = saidOnce(log);
  for (;;) {
    await sleep(clock, jitteredMs(everyMs, 0.2, random), signal);
    try {
      const members = await etcd.memberList(signal);
      await remember(members);
      progress = await keepLearners(members, progress, ports);
      await followNodes(members, ports);
      say(undefined);
    } catch (error) {
      signal.throwIfAborted();
      // Without a quorum or an API nothing can be done; once is enough to say so.
      say(`the members of etcd cannot be looked after: ${messageOf(error)}`);
    }
  }
}

async function keepLearners(
  members: readonly EtcdMember[],
  before: ReadonlyMap<MemberId, Progress>,
  { etcd, clock, log, signal }: KeepMembersPorts,
): Promise<ReadonlyMap<MemberId, Progress>> {
  const learners = new Map<MemberId, number | undefined>();
  for (const { id, name, clientUrls } of members.filter(({ isLearner }) => isLearner)) {
    if (name !== '' && (await isDone(etcd.memberPromote(id, signal), ['learner-not-ready', 'member-not-found']))) {
      log(`promoted ${name}: it has a vote now`);
      continue;
    }
    const [url] = clientUrls;
    const status = url === undefined ? undefined : await etcd.status(url, signal).catch(() => undefined);
    signal.throwIfAborted();
    learners.set(id, status?.raftAppliedIndex);
  }
  const { progress, stalled } = withProgress(before, learners, clock.monotonicMs());
  for (const id of stalled) {
    if (await isDone(etcd.memberRemove(id, signal), ['member-not-found'])) {
      const name = members.find((one) => one.id === id)?.name;
      log(`removed the learner ${name === undefined || name === '' ? id : name}: it has made no progress for minutes`);
    }
  }
  return progress;
}

async function followNodes(members: readonly EtcdMember[], ports: KeepMembersPorts): Promise<void> {
  const { etcd, connect, log, signal } = ports;
  using client = await connect();
  const present = new Set<string>();
  for (const { name } of members.filter((one) => one.name !== '')) {
    if ((await unlessMissing(client.get(`/api/v1/nodes/${name}`, signal))) !== undefined) present.add(name);
  }
  const kept = await etcd.get(seenKey, signal);
  const seen = new Set(seenSchema.parse(kept === undefined ? [] : parseJson(kept)));
  const changes = changesByNodes(members, { present, seen });
  for (const { id, name } of changes.remove) {
    if (await isDone(etcd.memberRemove(id, signal), ['member-not-found'])) {
      log(`removed ${name} from etcd: its Node was deleted`);
    }
  }
  const text = JSON.stringify(changes.seen);
  if (text !== kept) await etcd.put(seenKey, text, signal);
}

/** False for an expected refusal. @throws any other failure */
async function isDone(change: Promise<unknown>, expected: readonly EtcdReason[]): Promise<boolean> {
  try {
    await change;
    return true;
  } catch (error) {
    if (error instanceof EtcdError && expected.includes(error.detail.reason)) return false;
    throw error;
  }
}
