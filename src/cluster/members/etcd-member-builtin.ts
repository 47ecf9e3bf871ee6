/**
 * The `etcd-member` builtin: decides how etcd begins, has a joining machine added as a learner, and
 * writes down what etcd has to know at its first start. A learner has no vote: until it has caught up
 * (etcd-voter-builtin.ts) it cannot cost the cluster its quorum.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { StartupError } from '../../error/startup-error.ts';
import { linkedAbort } from '../../kernel/abort.ts';
import type { Clock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/message-of.ts';
import type { Builtin } from '../../unit/builtin.ts';
import { etcdClient, type EtcdClient } from '../etcd/etcd-client.ts';
import type { EtcdMember } from '../etcd/etcd-messages.ts';
import { readKnownMembers, rememberMembers } from '../etcd/known-members.ts';
import type { Layout } from '../layout.ts';
import { writeIfChanged } from '../../kernel/stored-file.ts';
import { etcdAccess, othersOf, type OwnMember } from './own-member.ts';
import { initialCluster, planMember } from './plan-member.ts';

export interface EtcdMemberPorts {
  readonly layout: Pick<Layout, 'serverTls' | 'etcdData' | 'etcdEnv' | 'etcdMembers'>;
  readonly own: OwnMember;
  readonly isJoining: boolean;
  readonly clock: Clock;
  /** Tells a person. */
  readonly notice: (text: string) => void;
}

/** With data on disk the others' word is welcome, but not worth a longer wait. */
const askWithinMs = 2_000;

export function etcdMemberBuiltin({ layout, own, isJoining, clock, notice }: EtcdMemberPorts): Builtin {
  return async ({ signal, log }) => {
    const hasData = existsSync(path.join(layout.etcdData, 'member'));
    const others = othersOf((await readKnownMembers(layout.etcdMembers)).clientUrls, own);
    const client = etcdClient({ endpoints: others, ...etcdAccess(layout.serverTls, own), clock });
    const asked = others.length === 0 ? 'no other member is known' : await membersOf(client, hasData, clock, signal);
    const [members, silence] = typeof asked === 'string' ? [undefined, asked] : [asked, ''];
    const plan = planMember({ ...own, hasData, isJoining, knewOthers: others.length > 0, members });
    const begin = async (cluster: string, state: 'new' | 'existing') => {
      await writeIfChanged(layout.etcdEnv, envText(cluster, state), 0o600);
      log(`etcd begins in ${cluster} (${state})`);
    };
    switch (plan.do) {
      case 'go-on':
        if (!existsSync(layout.etcdEnv)) await writeIfChanged(layout.etcdEnv, '', 0o600);
        log(`etcd goes on with its data${silence === '' ? '' : ` (${silence})`}`);
        return;
      case 'begin':
        await begin(plan.initialCluster, plan.state);
        return;
      case 'add': {
        const added = await client.memberAdd({ peerUrls: [own.peerUrl], isLearner: true }, signal);
        notice(`etcd took ${own.name} in as a learner; it votes when it has caught up`);
        await rememberMembers(layout.etcdMembers, added.members);
        await begin(initialCluster(added.members, own.name, own.peerUrl), 'existing');
        return;
      }
      case 'ask-again':
        throw new StartupError('ERR_JOIN', `no member of etcd can be asked: ${silence}`, {});
      case 'refuse':
        throw new StartupError('ERR_JOIN_REFUSED', `etcd of this machine cannot start: ${plan.why}`, {
          data: layout.etcdData,
        });
    }
  };
}

/** The members, or why nobody says. Those who have to be asked get all the time of a request. */
async function membersOf(
  client: EtcdClient,
  isHint: boolean,
  clock: Clock,
  signal: AbortSignal,
): Promise<readonly EtcdMember[] | string> {
  using end = linkedAbort(signal);
  using _timer = isHint ? clock.timer(askWithinMs, () => end.abort(new Error('nobody answered in time'))) : undefined;
  try {
    return await client.memberList(end.signal);
  } catch (error) {
    signal.throwIfAborted();
    return messageOf(error);
  }
}

/** Source: etcd reads each flag from ETCD_<NAME> too. It looks at these as long as it has no data. */
const envText = (cluster: string, state: 'new' | 'existing'): string =>
  `ETCD_INITIAL_CLUSTER=${cluster}\nETCD_INITIAL_CLUSTER_STATE=${state}\n`;
