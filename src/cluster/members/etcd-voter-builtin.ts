/**
 * The `etcd-voter` builtin: ready when this machine's etcd has a vote. A learner is promoted as soon
 * as etcd says that it has caught up; a member whose machine has got another address is told so.
 */
import { backoffDelayMs } from '../../kernel/backoff.ts';
import { sleep, type Clock } from '../../kernel/clock.ts';
import { saidOnce } from '../../kernel/said-once.ts';
import type { Builtin, BuiltinContext } from '../../unit/builtin.ts';
import { etcdClient } from '../etcd/etcd-client.ts';
import { EtcdError } from '../etcd/etcd-error.ts';
import type { EtcdMember } from '../etcd/etcd-messages.ts';
import { readKnownMembers, rememberMembers } from '../etcd/known-members.ts';
import type { Layout } from '../layout.ts';
import { etcdAccess, othersOf, type OwnMember } from './own-member.ts';

export interface EtcdVoterPorts {
  readonly layout: Pick<Layout, 'serverTls' | 'etcdMembers'>;
  readonly own: OwnMember;
  readonly clock: Clock;
}

/** A small cluster is in sync within a second. */
const pace = { firstMs: 200, factor: 1.5, maxMs: 2_000, jitter: 0.1 };

export function etcdVoterBuiltin({ layout, own, clock }: EtcdVoterPorts): Builtin {
  const access = { ...etcdAccess(layout.serverTls, own), clock };
  const local = etcdClient({ endpoints: [own.localUrl], ...access });
  return async (context) => {
    const { signal, log } = context;
    const { memberId, isLearner } = await local.status(own.localUrl, signal);
    if (isLearner) await promoted(memberId, context);
    // It votes: by its own word the members are known, also while there is no quorum.
    const members = await local.memberList(signal, { isLocal: true });
    await rememberMembers(layout.etcdMembers, members);
    await followAddress(
      members.find(({ id }) => id === memberId),
      context,
    );
    log(`one of ${String(members.filter((one) => !one.isLearner).length)} voters`);
  };

  async function promoted(memberId: string, { signal, log }: BuiltinContext): Promise<void> {
    const say = saidOnce(log);
    for (let attempt = 1; ; attempt += 1) {
      // A learner answers next to nothing itself.
      const endpoints = othersOf((await readKnownMembers(layout.etcdMembers)).clientUrls, own);
      try {
        await etcdClient({ endpoints, ...access }).memberPromote(memberId, signal);
        log('promoted: it has a vote now');
        return;
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error;
        // Somebody else did it.
        if (error.detail.reason === 'not-learner') return;
        say(error.message);
      }
      await sleep(clock, backoffDelayMs(pace, attempt, Math.random), signal);
    }
  }

  /** One that began as a cluster of its own, or whose machine has moved, is known to the others by an old address. */
  async function followAddress(member: EtcdMember | undefined, { signal, log }: BuiltinContext): Promise<void> {
    if (member === undefined || member.peerUrls.join() === own.peerUrl) return;
    await local.memberUpdate(member.id, [own.peerUrl], signal);
    log(`the others reach it at ${own.peerUrl} now, not at ${member.peerUrls.join(', ')}`);
  }
}
