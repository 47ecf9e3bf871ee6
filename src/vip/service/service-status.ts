/**
 * What is written to a Service: its addresses, a condition that says how it stands, and events. Pure;
 * nothing here is decided by whether the writing succeeds.
 */
import { isoSecond } from '../../kernel/iso-second.ts';
import type { Assignment, NodeName, VipAddress } from '../model.ts';
import { statusAddresses, type Allocation } from './allocate.ts';
import { vipCondition, type KubeService } from './kube-objects.ts';

export type ServiceEventReason = 'Assigned' | 'Moved' | 'Lost' | 'PoolExhausted' | 'Conflict' | 'Refused';

export interface ServiceNotice {
  readonly type: 'Normal' | 'Warning';
  readonly reason: ServiceEventReason;
  readonly message: string;
}

/** Who holds what. */
export type Holders = ReadonlyMap<VipAddress, NodeName>;

/** An address that is on its way is still its owner's: it is told as moved, once, and not as lost and found. */
export const holdersOf = ({ grants }: Pick<Assignment, 'grants'>): Holders =>
  new Map([...grants.values()].map(({ address, owner }) => [address, owner]));

export interface Standing {
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
}

export function standingOf({ addresses, problem }: Allocation, holders: Holders): Standing {
  if (problem !== undefined) return { status: 'False', ...problem };
  const held = addresses.map((address) => `${address} on ${holders.get(address) ?? 'no node'}`).join(', ');
  const isHeld = addresses.every((address) => holders.has(address));
  return isHeld
    ? { status: 'True', reason: 'Held', message: held }
    : { status: 'False', reason: 'NoNode', message: held };
}

/** The body for server-side apply on `…/status`; undefined: the Service says that already. */
export function statusBody(allocation: Allocation, holders: Holders, wallMs: number): object | undefined {
  const { service, addresses } = allocation;
  const standing = standingOf(allocation, holders);
  const present = conditionOf(service);
  const isSame =
    sameAddresses(statusAddresses(service), addresses) &&
    present?.status === standing.status &&
    present.reason === standing.reason &&
    present.message === standing.message;
  if (isSame) return undefined;
  const turned = present?.status === standing.status ? present.lastTransitionTime : '';
  return bodyOf(service, {
    // `VIP`: traffic comes with the address as its destination, so kube-proxy may answer for it on every node.
    loadBalancer: { ingress: addresses.map((ip) => ({ ip, ipMode: 'VIP' })) },
    conditions: [{ type: vipCondition, ...standing, lastTransitionTime: turned === '' ? isoSecond(wallMs) : turned }],
  });
}

/** What is taken back from a Service that is not ours any more; undefined: there is nothing of ours. */
export const clearedBody = (service: KubeService): object | undefined =>
  conditionOf(service) === undefined ? undefined : bodyOf(service, {});

const bodyOf = ({ metadata: { namespace, name } }: KubeService, status: object): object => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { namespace, name },
  status,
});

export const statusPath = ({ metadata: { namespace, name } }: KubeService): string =>
  `/api/v1/namespaces/${namespace}/services/${name}/status`;

const conditionOf = ({ status }: KubeService) => status?.conditions?.find(({ type }) => type === vipCondition);

/** What there is to tell between two looks at the same Service. `before` undefined: this is the first. */
export function noticesOf(
  allocation: Allocation,
  holders: Holders,
  before: { readonly holders: Holders; readonly problem: string } | undefined,
): readonly ServiceNotice[] {
  const { addresses, problem } = allocation;
  const notices: ServiceNotice[] = [];
  if (problem !== undefined && before?.problem !== problem.message) notices.push({ type: 'Warning', ...problem });
  for (const address of addresses) {
    const [was, is] = [before?.holders.get(address), holders.get(address)];
    if (was === is) continue;
    if (is === undefined) notices.push({ type: 'Warning', reason: 'Lost', message: `${address} is held by no node` });
    else if (was !== undefined)
      notices.push({ type: 'Normal', reason: 'Moved', message: `${address} moved from ${was} to ${is}` });
    // At the first look it may have been there for long: that is no news.
    else if (before !== undefined || !statusAddresses(allocation.service).includes(address)) {
      notices.push({ type: 'Normal', reason: 'Assigned', message: `${address} is held by ${is}` });
    }
  }
  return notices;
}

export const eventsPath = ({ metadata: { namespace } }: KubeService): string =>
  `/api/v1/namespaces/${namespace}/events`;

/** Source: Kubernetes core/v1 Event. */
export function eventBody(service: KubeService, { type, reason, message }: ServiceNotice, wallMs: number): object {
  const { namespace, name, uid, resourceVersion } = service.metadata;
  const at = isoSecond(wallMs);
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { generateName: `${name}.`, namespace },
    involvedObject: { apiVersion: 'v1', kind: 'Service', namespace, name, uid, resourceVersion },
    type,
    reason,
    message: message.slice(0, 1024),
    source: { component: 'k3s-lite-vip' },
    firstTimestamp: at,
    lastTimestamp: at,
    count: 1,
  };
}

function sameAddresses(a: readonly VipAddress[], b: readonly VipAddress[]): boolean {
  return a.length === b.length && a.every((address) => b.includes(address));
}
