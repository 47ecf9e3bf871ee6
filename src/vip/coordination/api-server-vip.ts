/**
 * The address that all API servers share: wanted because nodes say so on their Leases, and for those whose
 * API server is ready. So whoever coordinates knows it, also a node without an API server, and nothing else
 * has to be asked: what tells that a node lives tells whom it may be given to. A name counts only if servers
 * have written it down too (service/api-server-names); where they write nothing down, not for what a Service has. Pure.
 */
import { canonicalIp } from '../ip-address.ts';
import type { NodeName, VipAddress } from '../model.ts';
import type { PlanAddress, PlanNode } from '../plan/plan-model.ts';
import type { CoordinatorState, RefusedName, Wanted } from './coordinator-model.ts';
import { isAlive, isLeaving, refusedBy } from './node-evidence.ts';
import { notes } from './stored-assignment.ts';

type Known = Pick<CoordinatorState, 'leases' | 'stored' | 'wanted'>;

/** Those that living nodes name, each with who may have it. More than one: servers were given different flags. */
export function apiServerVips(
  known: Known,
  leaseDurationMs: number,
  nowMs: number,
): ReadonlyMap<VipAddress, ReadonlySet<NodeName>> {
  const named = new Map<VipAddress, { readonly all: Set<NodeName>; readonly ready: Set<NodeName> }>();
  for (const { node, address, isReady } of namesOf(known, leaseDurationMs, nowMs)) {
    if (whyRefused(address, known) !== undefined) continue;
    const { all, ready } = named.get(address) ?? { all: new Set(), ready: new Set() };
    named.set(address, { all: all.add(node), ready: isReady ? ready.add(node) : ready });
  }
  // After an outage of etcd none is ready for a moment: then it stays where it is.
  return new Map([...named].map(([address, { all, ready }]) => [address, ready.size > 0 ? ready : all]));
}

/** What living nodes name and must not. */
export const refusedNames = (known: Known, leaseDurationMs: number, nowMs: number): readonly RefusedName[] =>
  namesOf(known, leaseDurationMs, nowMs).flatMap(({ node, address }) => {
    const why = whyRefused(address, known);
    return why === undefined ? [] : [{ node, address, why }];
  });

function whyRefused(address: VipAddress, { wanted }: Known): RefusedName['why'] | undefined {
  const isOfService = () => wanted?.addresses.some((each) => each.address === address) === true;
  if (wanted?.apiServerVips === undefined) return isOfService() ? 'in use' : undefined;
  // One that servers were given is theirs, whatever Service was given it by mistake.
  return wanted.apiServerVips.has(address) ? undefined : 'unknown';
}

/** What is no address is no name. */
function namesOf({ leases }: Known, leaseDurationMs: number, nowMs: number) {
  return [...leases].flatMap(([node, sighting]) => {
    const said = sighting.record?.notes ?? {};
    const address = canonicalIp(said[notes.apiServerVip] ?? '');
    if (address === undefined || !isAlive(sighting, nowMs, leaseDurationMs)) return [];
    return [{ node, address, isReady: said[notes.apiServerReady] !== undefined }];
  });
}

/** What there is to be planned: what the Services want, and the API servers' own. */
export function wantedAddresses(
  state: Known & { readonly wanted: Wanted },
  nodes: readonly PlanNode[],
  leaseDurationMs: number,
  nowMs: number,
): readonly PlanAddress[] {
  const { wanted } = state;
  const vips = apiServerVips(state, leaseDurationMs, nowMs);
  if (vips.size === 0) return wanted.addresses;
  return [
    ...wanted.addresses.filter(({ address }) => !vips.has(address)),
    ...[...vips].map(([address, eligible]): PlanAddress => {
      const pinnedTo = placeOf(address, eligible, nodes, state);
      return { address, weight: 1, eligible, use: 'apiserver', ...(pinnedTo === undefined ? {} : { pinnedTo }) };
    }),
  ];
}

/**
 * Where it is to be whatever the balance: each move of it ends the connections of everybody who uses the API. So it
 * stays, but for an operator's pin to a node that may have it; and where no node is ready for pods yet, one that is not
 * has to do. Undefined: the planner chooses.
 */
function placeOf(
  address: VipAddress,
  eligible: ReadonlySet<NodeName>,
  nodes: readonly PlanNode[],
  { leases, stored, wanted }: Known & { readonly wanted: Wanted },
): NodeName | undefined {
  const grant = stored?.assignment.grants.get(address);
  const owner = grant?.next ?? grant?.owner;
  const candidates = nodes.filter(({ name, state }) => {
    const sighting = leases.get(name);
    // That no pods can run on it says nothing against a drain.
    const isDraining = state === 'draining' || wanted.nodes.get(name)?.isDraining === true;
    const isGoing = state === 'dead' || (sighting !== undefined && isLeaving(sighting));
    return eligible.has(name) && !isDraining && !isGoing;
  });
  // Who could not take it, or be ready for it, is asked only when nobody else is left.
  const able = candidates.filter(
    ({ name }) => grant === undefined || refusedBy(leases.get(name)).get(address) !== grant.generation,
  );
  const pin = wanted.pins?.[address];
  for (const wish of [pin, owner]) if (able.some(({ name }) => name === wish)) return wish;
  if (able.some(({ state }) => state === 'ready')) return undefined;
  // One after the other: what refused an earlier generation is not known any more.
  const names = able.map(({ name }) => name).sort();
  const next = names.find((name) => owner !== undefined && name > owner) ?? names[0];
  return next ?? (candidates.some(({ name }) => name === owner) ? owner : undefined);
}
