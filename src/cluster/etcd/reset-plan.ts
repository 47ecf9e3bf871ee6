/**
 * What a reset of the cluster to one member would do, and what every other member has then to do by
 * hand: the reset makes a second cluster out of one, and nobody else hears of it.
 */
import type { EtcdClient } from './etcd-client.ts';
import type { EtcdMember } from './etcd-messages.ts';
import { messageOf } from '../../kernel/message-of.ts';

export interface PeerFinding {
  readonly name: string;
  readonly peerUrls: readonly string[];
  /** `leads`: it answers and knows a leader, so the cluster lives without us. */
  readonly state: 'silent' | 'answers' | 'leads';
  /** Why it is thought so. */
  readonly told: string;
}

/** Asks everyone but ourselves, all at once. */
export function findPeers(
  members: readonly EtcdMember[],
  own: { readonly memberName: string; readonly peerUrl: string },
  client: EtcdClient,
  signal: AbortSignal,
): Promise<readonly PeerFinding[]> {
  const peers = members.filter(({ name, peerUrls }) => name !== own.memberName && !peerUrls.includes(own.peerUrl));
  return Promise.all(
    peers.map(async ({ name, peerUrls, clientUrls }) => {
      const label = name === '' ? (peerUrls[0] ?? 'unknown') : name;
      const [endpoint] = clientUrls;
      const peer = { name: label, peerUrls };
      if (endpoint === undefined) return { ...peer, state: 'silent', told: 'it was never started' } as const;
      try {
        const { leader } = await client.status(endpoint, signal);
        return leader === undefined
          ? ({ ...peer, state: 'answers', told: `answers at ${endpoint}, without a leader` } as const)
          : ({ ...peer, state: 'leads', told: `answers at ${endpoint}, and has a leader` } as const);
      } catch (error) {
        signal.throwIfAborted();
        return { ...peer, state: 'silent', told: messageOf(error) } as const;
      }
    }),
  );
}

export interface ResetPlan {
  readonly memberName: string;
  readonly etcdData: string;
  /** A snapshot whose data it gets; absent: it keeps its own. */
  readonly restoreFrom: string | undefined;
  readonly peers: readonly PeerFinding[];
  /** Where the others can join again. */
  readonly joinUrl: string;
}

/** What happens on this machine, for people, one line each. Pure. */
export function ownResetText({ memberName, etcdData, restoreFrom, peers }: ResetPlan): readonly string[] {
  const former = peers.length === 0 ? '' : `; ${peers.map(({ name }) => name).join(', ')} are members no more`;
  return [
    `${memberName}, this machine:`,
    restoreFrom === undefined
      ? `  etcd keeps what it has in ${etcdData}, a copy is made first`
      : `  etcd gets what ${restoreFrom} holds; what it has in ${etcdData} is kept beside it`,
    `  it becomes the one member of its cluster${former}`,
    '  k3s-lite exits; start it again without --cluster-reset',
  ];
}

/** What has to be done on every other. Pure. */
export function peerResetText({ peers, joinUrl }: ResetPlan): readonly string[] {
  const byHand = [
    '  stop k3s-lite there, before this machine is reset',
    '  remove its <data-dir>/server/db/etcd: what it has belongs to the former cluster',
    `  when this machine is up again, start it with --server ${joinUrl}`,
  ];
  if (peers.length === 0) return ['any other member (none is known):', ...byHand];
  return peers.flatMap(({ name, told }) => [`${name} (${told}):`, ...byHand]);
}
