/** Does what an operator asks of the virtual IPs: writes it down for the cluster. */
import { asUsage, statusOf, type VipKnowledge } from '../vip/answer-operator.ts';
import type { OperateRequest, VipVerb } from '../vip/control-model.ts';
import type { WantedFollower } from '../vip/service/follow-wanted.ts';
import type { ServiceApi } from '../vip/service/object-store.ts';
import { wishesName, wishesObject, withWish, type Wishes } from '../vip/service/wishes.ts';

export interface Operation {
  readonly verb: VipVerb;
  readonly request: OperateRequest;
  readonly known: VipKnowledge;
  readonly follower: WantedFollower;
  readonly api: ServiceApi;
  readonly namespace: string;
  readonly signal: AbortSignal;
}

/**
 * @returns what was asked for, in words
 * @throws StartupError ERR_USAGE for a node or an address that there is not; what the API says no with
 */
export async function operate({ verb, request, known, follower, api, namespace, signal }: Operation): Promise<string> {
  const { nodes, addresses } = statusOf(known);
  const all = {
    nodes: new Set(nodes.map(({ name }) => name)),
    addresses: new Set(addresses.map(({ address }) => address)),
  };
  let wishes: Wishes;
  try {
    wishes = withWish(follower.wishes, verb, request, all);
  } catch (error) {
    throw asUsage(error);
  }
  if (wishes !== follower.wishes) {
    const path = `/api/v1/namespaces/${namespace}/configmaps/${wishesName}`;
    await api.apply(path, wishesObject(namespace, wishes), signal);
  }
  return [verb, request.address, request.node].filter((word) => word !== undefined).join(' ');
}
