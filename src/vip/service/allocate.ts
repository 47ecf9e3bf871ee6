/**
 * Which Service has which addresses: one pure function of all Services and the pools, so that it says
 * the same after a restart. What a Service has is written in its status, and it keeps that as long as
 * it may; the older Service is served first.
 *
 * An address belongs to one Service, unless several ask to share it by the same key and none of their
 * ports clash. An address that is in no pool is given to nobody, whoever asks for it.
 */
import type { AddressFamily, VipAddress } from '../model.ts';
import { FreeAddresses, noSuchPool, poolOf, type AddressPool } from './address-pool.ts';
import { canonicalIp, parseIp } from '../ip-address.ts';
import { annotation, keyOf, vipClass, type KubeService, type ServiceKey } from './kube-objects.ts';

export interface AllocationPolicy {
  readonly pools: readonly AddressPool[];
  /** Services of type LoadBalancer that name no class are ours too. */
  readonly takesUnclassed: boolean;
}

export type AllocationReason = 'PoolExhausted' | 'Conflict' | 'Refused';

export interface Allocation {
  readonly service: KubeService;
  readonly key: ServiceKey;
  readonly addresses: readonly VipAddress[];
  /** Why it has not all that it asks for. */
  readonly problem?: { readonly reason: AllocationReason; readonly message: string } | undefined;
}

export const isOurs = ({ metadata, spec }: KubeService, { takesUnclassed }: AllocationPolicy): boolean =>
  metadata.deletionTimestamp === undefined &&
  spec.type === 'LoadBalancer' &&
  (spec.loadBalancerClass === undefined ? takesUnclassed : spec.loadBalancerClass === vipClass);

/** @param before what each Service has been given by its uid, as far as its status may not say so yet */
export function allocate(
  services: readonly KubeService[],
  policy: AllocationPolicy,
  before: ReadonlyMap<string, readonly VipAddress[]> = new Map(),
): readonly Allocation[] {
  const ours = services.filter((service) => isOurs(service, policy)).sort(byAge);
  const users = new Map<VipAddress, KubeService[]>();
  const kept = new Map<KubeService, VipAddress[]>();
  const take = (service: KubeService, address: VipAddress) => {
    users.set(address, [...(users.get(address) ?? []), service]);
    kept.set(service, [...(kept.get(service) ?? []), address]);
  };
  // First what each has, so that nobody who is new takes it.
  for (const service of ours) {
    const request = requestOf(service, policy.pools);
    if ('problem' in request) continue;
    for (const address of [...statusAddresses(service), ...(before.get(service.metadata.uid) ?? [])]) {
      const isWanted = request.accepts(address) && !hasFamilyOf(address, request, kept.get(service) ?? []);
      if (isWanted && conflictOf(service, users.get(address)) === undefined) take(service, address);
    }
  }
  const free = new FreeAddresses((address) => users.has(address));
  return ours.map((service) => {
    const key = keyOf(service);
    const request = requestOf(service, policy.pools);
    if ('problem' in request) return { service, key, addresses: [], problem: request.problem };
    const problem = fill(service, request, kept.get(service) ?? [], { users, free, take });
    return { service, key, addresses: kept.get(service) ?? [], problem };
  });
}

/** What is taken so far. */
interface Taken {
  readonly users: ReadonlyMap<VipAddress, readonly KubeService[]>;
  readonly free: FreeAddresses;
  take(service: KubeService, address: VipAddress): void;
}

interface Request {
  /** By the order of the Service: it asks for one address of each. */
  readonly families: readonly AddressFamily[];
  /** Absent: any of the pool. */
  readonly exact?: readonly VipAddress[] | undefined;
  readonly pools: readonly AddressPool[];
  readonly needsBoth: boolean;
  accepts(address: VipAddress): boolean;
}
type Problem = NonNullable<Allocation['problem']>;

function requestOf(service: KubeService, pools: readonly AddressPool[]): Request | { readonly problem: Problem } {
  const refused = (message: string) => ({ problem: { reason: 'Refused' as const, message } });
  const poolName = annotation(service, 'pool');
  const pool = poolName === undefined ? undefined : pools.find(({ name }) => name === poolName);
  if (poolName !== undefined && pool === undefined) return refused(noSuchPool(poolName, pools));
  const usable = pool === undefined ? pools : [pool];
  const families = familiesOf(service);
  const needsBoth = service.spec.ipFamilyPolicy === 'RequireDualStack';
  const { loadBalancerIP } = service.spec;
  const asked = annotation(service, 'addresses') ?? (loadBalancerIP === '' ? undefined : loadBalancerIP);
  if (asked === undefined) {
    const accepts = (address: VipAddress) =>
      poolOf(usable, address) !== undefined && families.some((family) => family === parseIp(address)?.family);
    return { families, pools: usable, needsBoth, accepts };
  }
  const exact: VipAddress[] = [];
  for (const text of asked.split(',')) {
    const address = canonicalIp(text.trim());
    if (address === undefined) return refused(`"${text.trim()}" is no address`);
    if (poolOf(usable, address) === undefined) {
      return refused(`${address} is in no pool: there are ${describePools(usable)}`);
    }
    exact.push(address);
  }
  return { families, exact, pools: usable, needsBoth, accepts: (address) => exact.includes(address) };
}

/** Whether it has the one that it asks for of the family; of those that it names it may have several. */
const hasFamilyOf = (address: VipAddress, { exact }: Request, has: readonly VipAddress[]): boolean =>
  exact === undefined ? has.some((each) => parseIp(each)?.family === parseIp(address)?.family) : has.includes(address);

/** Takes what is still wanting. */
function fill(
  service: KubeService,
  { families, exact, pools, needsBoth }: Request,
  has: readonly VipAddress[],
  { users, free, take }: Taken,
): Problem | undefined {
  if (exact !== undefined) {
    const missing = exact.filter((address) => !has.includes(address));
    for (const address of missing) {
      const message = conflictOf(service, users.get(address));
      if (message !== undefined) return { reason: 'Conflict', message: `${address} ${message}` };
    }
    for (const address of missing) take(service, address);
    return undefined;
  }
  const without = families.filter((family) => !has.some((address) => parseIp(address)?.family === family));
  // A family that no pool has is done without, unless it is required or nothing would be left.
  const served = families.filter((family) =>
    pools.some(({ ranges }) => ranges.some((range) => range.family === family)),
  );
  for (const family of without) {
    if (!needsBoth && served.length > 0 && !served.includes(family)) continue;
    const address = sharedAddress(service, family, users) ?? firstFree(pools, family, free);
    if (address === undefined) {
      const message = `no IPv${String(family)} address is free in ${describePools(pools)}`;
      return { reason: 'PoolExhausted', message };
    }
    take(service, address);
  }
  return undefined;
}

function firstFree(pools: readonly AddressPool[], family: AddressFamily, free: FreeAddresses): VipAddress | undefined {
  for (const pool of pools) {
    const address = free.first(pool, family);
    if (address !== undefined) return address;
  }
  return undefined;
}

/** One that a Service with the same key has, if it can be shared. */
function sharedAddress(
  service: KubeService,
  family: AddressFamily,
  users: ReadonlyMap<VipAddress, readonly KubeService[]>,
): VipAddress | undefined {
  if (annotation(service, 'sharing-key') === undefined) return undefined;
  for (const [address, others] of users) {
    if (parseIp(address)?.family === family && conflictOf(service, others) === undefined) return address;
  }
  return undefined;
}

/** Why a Service may not have an address that others have; undefined: it may. */
function conflictOf(service: KubeService, others: readonly KubeService[] = []): string | undefined {
  for (const other of others) {
    if (other === service) continue;
    const key = annotation(service, 'sharing-key');
    if (key === undefined || annotation(other, 'sharing-key') !== key) {
      return `belongs to ${keyOf(other)}, which does not share it with this Service`;
    }
    const ports = new Set(portsOf(other));
    const clash = portsOf(service).find((port) => ports.has(port));
    if (clash !== undefined) return `is shared with ${keyOf(other)}, which has port ${clash} too`;
    const isLocal = [service, other].some(({ spec }) => spec.externalTrafficPolicy === 'Local');
    // One node answers for the address: with Local it has to have pods of both.
    if (isLocal && selectorText(service) !== selectorText(other)) {
      return `cannot be shared with ${keyOf(other)}: with externalTrafficPolicy Local both need the same selector`;
    }
  }
  return undefined;
}

const portsOf = ({ spec }: KubeService): readonly string[] =>
  (spec.ports ?? []).map(({ port, protocol }) => `${String(port)}/${protocol}`);

const selectorText = ({ spec }: KubeService): string =>
  JSON.stringify(Object.entries(spec.selector ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)));

const describePools = (pools: readonly AddressPool[]): string =>
  pools.map(({ name, ranges }) => `${name} (${ranges.map(({ text }) => text).join(', ')})`).join(', ') || 'no pools';

function familiesOf({ spec }: KubeService): readonly AddressFamily[] {
  const families = (spec.ipFamilies ?? []).map((name): AddressFamily => (name === 'IPv6' ? 6 : 4));
  return families.length === 0 ? [4] : families;
}

export const statusAddresses = ({ status }: KubeService): readonly VipAddress[] =>
  (status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => (ip === undefined ? [] : (canonicalIp(ip) ?? [])));

const byAge = (a: KubeService, b: KubeService): number =>
  compare(a.metadata.creationTimestamp, b.metadata.creationTimestamp) || compare(keyOf(a), keyOf(b));

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
