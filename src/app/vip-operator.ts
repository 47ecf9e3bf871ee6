/** Does what an operator asks of the virtual IPs: writes it down for the cluster. */
import type { Clock } from '../kernel/clock.ts';
import { StartupError } from '../error/startup-error.ts';
import { asUsage, planOf, statusOf, type VipKnowledge } from '../vip/answer-operator.ts';
import type { OperateAnswer, OperateRequest, VipVerb } from '../vip/control-model.ts';
import { rebalanceForMs } from '../vip/plan/voluntary-moves.ts';
import type { WantedFollower } from '../vip/service/follow-wanted.ts';
import type { ServiceApi } from '../vip/service/object-store.ts';
import { wishesName, wishesObject, withWish, type Wishes } from '../vip/service/wishes.ts';

export interface Operation {
  readonly verb: VipVerb;
  readonly request: OperateRequest;
  readonly known: VipKnowledge;
  readonly follower: Pick<WantedFollower, 'wishes' | 'wantedBy' | 'wished' | 'window'>;
  readonly api: Pick<ServiceApi, 'apply'>;
  readonly namespace: string;
  readonly clock: Pick<Clock, 'wallMs'>;
  readonly signal: AbortSignal;
}

/**
 * Nothing is written on a node that could not say what follows from it: only the coordinator plans.
 *
 * @throws StartupError ERR_USAGE for a node or an address that there is not; ERR_CONTROL on another node
 *   than the coordinator's; what the API says no with
 */
export async function operate(operation: Operation): Promise<OperateAnswer> {
  const { verb, request, known, follower, api, namespace, clock, signal } = operation;
  const planWith = (wishes: Wishes) =>
    planOf({ ...known, coordinator: { ...known.coordinator, wanted: follower.wantedBy(wishes) } });
  const { election } = planWith(follower.wishes);
  if (verb === 'rebalance' && election === 'per-service') {
    const why = 'each address is elected by itself (--vip-election per-service)';
    throw new StartupError('ERR_USAGE', `nothing is moved for balance here: ${why}`, { status: 400 });
  }
  const { nodes, addresses } = statusOf(known);
  const all = {
    nodes: new Set(nodes.map(({ name }) => name)),
    addresses: new Set(addresses.map(({ address }) => address)),
    rebalanceUntilMs: follower.window === undefined ? undefined : clock.wallMs() + rebalanceForMs,
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
    follower.wished(wishes);
  }
  const asked = [verb, request.address, request.node].filter((word) => word !== undefined).join(' ');
  const notes = notesOn(operation);
  return { asked, plan: planWith(wishes), ...(notes.length === 0 ? {} : { notes: [...notes] }) };
}

/** A Service's address is only ever on a node of the cluster: what is asked of another one is of no account to it. */
function notesOn({ verb, request: { node }, known: { services } }: Operation): readonly string[] {
  const isOfNode = verb === 'drain' || verb === 'cordon' || verb === 'pin';
  if (!isOfNode || node === undefined || services === undefined) return [];
  if (services.nodes.some(({ metadata }) => metadata.name === node)) return [];
  const what = { drain: 'gives up', cordon: 'gets no more of', pin: 'may have' }[verb];
  return [`${node} has no Node object: no address of a Service can be on it; it ${what} the API servers’ own alone`];
}
