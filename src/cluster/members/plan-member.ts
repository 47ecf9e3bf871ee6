/**
 * How this machine's etcd is to begin, from what lies on its disk and what the other members say.
 * Pure; its table is tested.
 */
import type { EtcdMember } from '../etcd/etcd-messages.ts';

export interface MemberFacts {
  readonly name: string;
  readonly peerUrl: string;
  /** etcd has run here: its members are in its own data. */
  readonly hasData: boolean;
  /** False: this machine begins the cluster. */
  readonly isJoining: boolean;
  /** Members other than this one were known when it last ran. */
  readonly knewOthers: boolean;
  /** As a quorum of them says; undefined: nobody could be asked. */
  readonly members: readonly EtcdMember[] | undefined;
}

export type MemberPlan =
  /** From its data; nothing has to be said to it. */
  | { readonly do: 'go-on' }
  /** As this cluster. */
  | { readonly do: 'begin'; readonly initialCluster: string; readonly state: 'new' | 'existing' }
  /** First the others have to take it in. */
  | { readonly do: 'add' }
  /** Nobody could be asked who has to be. */
  | { readonly do: 'ask-again' }
  | { readonly do: 'refuse'; readonly why: string };

export function planMember(facts: MemberFacts): MemberPlan {
  return facts.hasData ? planWithData(facts) : facts.isJoining ? planJoining(facts) : planFirst(facts);
}

/** The others may all be down: then its data is all there is. */
function planWithData({ name, peerUrl, members }: MemberFacts): MemberPlan {
  if (members === undefined || members.some((one) => one.name === name || one.peerUrls.includes(peerUrl))) {
    return { do: 'go-on' };
  }
  return {
    do: 'refuse',
    why: 'it was removed from the cluster, and its data is of no use any more; to join as a new member, move that away and start again',
  };
}

function planFirst({ name, peerUrl, knewOthers }: MemberFacts): MemberPlan {
  if (knewOthers) {
    return {
      do: 'refuse',
      why: 'its data is gone and other members are known: beginning anew would make a second cluster; join them with --server',
    };
  }
  return { do: 'begin', initialCluster: `${name}=${peerUrl}`, state: 'new' };
}

function planJoining({ name, peerUrl, members }: MemberFacts): MemberPlan {
  if (members === undefined) return { do: 'ask-again' };
  const sameAddress = members.find(({ peerUrls }) => peerUrls.includes(peerUrl));
  // Added by an attempt of ours that went no further.
  if (sameAddress?.name === '') {
    return { do: 'begin', initialCluster: initialCluster(members, name, peerUrl), state: 'existing' };
  }
  if (sameAddress?.name === name) {
    return {
      do: 'refuse',
      why: `the cluster has a member ${name} at ${peerUrl}, and this machine has none of its data; delete its Node (or remove that member) first`,
    };
  }
  if (sameAddress !== undefined) {
    return {
      do: 'refuse',
      why: `the cluster has a member ${sameAddress.name} at ${peerUrl}, the address of this machine`,
    };
  }
  const sameName = members.find((one) => one.name === name);
  if (sameName !== undefined) {
    return {
      do: 'refuse',
      why: `the cluster has a member ${name} at ${sameName.peerUrls.join(', ')}; choose another --node-name`,
    };
  }
  return { do: 'add' };
}

/** `name=url,…` of every member. etcd compares addresses and counts; one that has never run has no name yet. */
export function initialCluster(members: readonly EtcdMember[], name: string, peerUrl: string): string {
  return members
    .flatMap((one) => {
      const shown = one.peerUrls.includes(peerUrl) ? name : one.name === '' ? `new-${one.id}` : one.name;
      return one.peerUrls.map((url) => `${shown}=${url}`);
    })
    .join(',');
}
