/**
 * From Services with their addresses to what the planner is given: which nodes may hold an address,
 * which should rather, and what belongs together. One pure function.
 */
import type { NodeName, VipAddress } from '../model.ts';
import type { PlanAddress } from '../plan/plan-model.ts';
import type { Allocation } from './allocate.ts';
import { parseIp } from '../ip-address.ts';
import { inRange, type IpRange } from './ip-range.ts';
import { annotation, excludeLabel, type KubeNode, type KubeService, type ServiceKey } from './kube-objects.ts';
import { parseLabelSelector } from './label-selector.ts';

export interface ServiceWorld {
  readonly allocations: readonly Allocation[];
  readonly nodes: readonly KubeNode[];
  /** Nodes with a ready endpoint, by Service. */
  readonly endpointNodes: ReadonlyMap<ServiceKey, ReadonlySet<NodeName>>;
  /** The networks on the interfaces of each node, as its agent tells them; undefined: they are of no account. */
  readonly subnets?: ReadonlyMap<NodeName, readonly IpRange[]> | undefined;
}

export interface AddressNeeds {
  readonly addresses: readonly PlanAddress[];
  /** Annotations that are not understood, and therefore do not count. */
  readonly mistakes: readonly { readonly key: ServiceKey; readonly message: string }[];
}

export function planAddresses(world: ServiceWorld): AddressNeeds {
  const mistakes: AddressNeeds['mistakes'][number][] = [];
  const byAddress = new Map<VipAddress, Allocation[]>();
  for (const allocation of world.allocations) {
    for (const address of allocation.addresses) {
      byAddress.set(address, [...(byAddress.get(address) ?? []), allocation]);
    }
  }
  const rules = new Map(
    world.allocations.map((allocation) => {
      const read = readRules(allocation.service);
      for (const message of read.mistakes) mistakes.push({ key: allocation.key, message });
      return [allocation.key, read];
    }),
  );
  const sets = new Map<string, ReadonlySet<NodeName>>();
  const addresses = [...byAddress].map(([address, sharers]): PlanAddress => {
    const own = sharers.flatMap(({ key }) => rules.get(key) ?? []);
    const eligible = eligibleNodes(address, sharers, world, own);
    // The same set for all that have the same: the planner looks at each once.
    const setKey = [...eligible].sort().join();
    const shared = sets.get(setKey) ?? eligible;
    sets.set(setKey, shared);
    const [first] = sharers;
    return {
      address,
      weight: own.reduce((sum, { weight }) => Math.max(sum, weight), 0) || 1,
      eligible: shared,
      preferred: preferredNodes(own),
      group: own.find(({ group }) => group !== undefined)?.group,
      together: first !== undefined && first.addresses.length > 1 ? first.key : undefined,
    };
  });
  return { addresses, mistakes };
}

function eligibleNodes(
  address: VipAddress,
  sharers: readonly Allocation[],
  { nodes, endpointNodes, subnets }: ServiceWorld,
  rules: readonly ServiceRules[],
): ReadonlySet<NodeName> {
  const parsed = parseIp(address);
  const fits = ({ metadata: { name, labels } }: KubeNode): boolean =>
    labels?.[excludeLabel] === undefined &&
    rules.every(({ selects }) => selects(labels ?? {})) &&
    sharers.every(
      ({ service, key }) =>
        service.spec.externalTrafficPolicy !== 'Local' || (endpointNodes.get(key)?.has(name) ?? false),
    ) &&
    (subnets === undefined ||
      (parsed !== undefined && (subnets.get(name) ?? []).some((subnet) => inRange(subnet, parsed))));
  return new Set(nodes.filter(fits).map(({ metadata: { name } }) => name));
}

interface ServiceRules {
  readonly selects: (labels: Readonly<Record<string, string>>) => boolean;
  readonly preferred: readonly (readonly [NodeName, number])[];
  readonly group: string | undefined;
  readonly weight: number;
  readonly mistakes: readonly string[];
}

/** What the annotations of a Service say. One that is not understood is as if it were not there, and is told. */
function readRules(service: KubeService): ServiceRules {
  const mistakes: string[] = [];
  const read = <T>(name: string, parse: (text: string) => T, otherwise: T): T => {
    const text = annotation(service, name);
    if (text === undefined) return otherwise;
    try {
      return parse(text);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      mistakes.push(`annotation k3s-lite.io/vip-${name}: ${error.message}`);
      return otherwise;
    }
  };
  return {
    // A selector that is not understood selects nothing: where an address must not be is not guessed.
    selects: read(
      'node-selector',
      parseLabelSelector,
      annotation(service, 'node-selector') === undefined ? always : never,
    ),
    preferred: read('preferred-nodes', parsePreferred, []),
    group: annotation(service, 'group'),
    weight: read('weight', parseWeight, 1),
    mistakes,
  };
}

const always = () => true;
const never = () => false;

/** "node-a=100,node-b=50", a weight being 100 where there is none. Source: Kubernetes PreferredSchedulingTerm. */
function parsePreferred(text: string): readonly (readonly [NodeName, number])[] {
  return text.split(',').map((part) => {
    const [node = '', weight = '100', ...rest] = part.trim().split('=');
    const value = Number(weight);
    if (node === '' || rest.length > 0 || !Number.isInteger(value) || value < 1 || value > 100) {
      throw new RangeError(`"${part.trim()}" is no preference, like node-a=100: a weight from 1 to 100`);
    }
    return [node, value];
  });
}

function parseWeight(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 1000)) throw new RangeError(`"${text}" is no weight: a number above 0, up to 1000`);
  return value;
}

function preferredNodes(rules: readonly ServiceRules[]): PlanAddress['preferred'] {
  const preferred = new Map<NodeName, number>();
  for (const [node, weight] of rules.flatMap((each) => each.preferred)) {
    preferred.set(node, Math.max(weight, preferred.get(node) ?? 0));
  }
  return preferred.size === 0 ? undefined : preferred;
}
