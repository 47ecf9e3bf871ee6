/**
 * Follows Services, their endpoints and the nodes, and says which addresses there are to be planned.
 * The coordinator tells it who holds what, and it writes that to the Services.
 *
 * Every node may run it; only the coordinator publishes. Not here: who holds an address.
 */
import { isIPv4 } from 'node:net';
import { linkedAbort } from '../../kernel/abort.ts';
import { backoffDelayMs, type Backoff } from '../../kernel/backoff.ts';
import { sleep, type Clock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/message-of.ts';
import { saidOnce } from '../../kernel/said-once.ts';
import { wakeablePause } from '../../kernel/wakeable-pause.ts';
import type { NodeName, VipAddress } from '../model.ts';
import type { PlanAddress } from '../plan/plan-model.ts';
import { allocate, isOurs, type Allocation, type AllocationPolicy } from './allocate.ts';
import type { IpRange } from './ip-range.ts';
import {
  apiServerService,
  keyOf,
  kubeEndpointSlice,
  kubeNode,
  kubeService,
  serviceNameLabel,
  type KubeEndpointSlice,
  type KubeNode,
  type ServiceKey,
} from './kube-objects.ts';
import { firstRelistMs, ObjectStore, relistMs, type ServiceApi } from './object-store.ts';
import { planAddresses } from './plan-addresses.ts';
import { servicePublisher, type ServicePublisher } from './publish-services.ts';

export interface ServicesView {
  readonly allocations: readonly Allocation[];
  /** Without pins and the times of moves, which the coordinator knows. */
  readonly addresses: readonly PlanAddress[];
  readonly nodes: readonly KubeNode[];
  /** host:port of the API servers that there are. */
  readonly apiServers: readonly string[];
}

export interface FollowServicesOptions {
  readonly api: ServiceApi;
  readonly policy: AllocationPolicy;
  /** The networks on the interfaces of each node; undefined: they are of no account. */
  readonly subnets: () => ReadonlyMap<NodeName, readonly IpRange[]> | undefined;
  /** At the beginning, and whenever something has changed. */
  readonly onView: (view: ServicesView) => void;
  readonly log: (line: string) => void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly signal: AbortSignal;
}

export interface ServiceFollower {
  /** Until the signal aborts; rejects with its reason. */
  run(): Promise<never>;
  /** The subnets have changed. */
  look(): void;
  /** Who holds what, to be written to the Services; undefined: somebody else publishes. */
  publish: ServicePublisher['holders'];
}

const awayPace: Backoff = { firstMs: 250, factor: 2, maxMs: 5_000, jitter: 0.2 };
/** Changes that come together are one. */
const settleMs = 10;

export function followServices(options: FollowServicesOptions): ServiceFollower {
  const { api, policy, subnets, onView, log, clock, random, signal } = options;
  const said = saidOnce(log);
  const services = new ObjectStore('/api/v1/services', kubeService, said);
  const slices = new ObjectStore('/apis/discovery.k8s.io/v1/endpointslices', kubeEndpointSlice, said);
  const nodes = new ObjectStore('/api/v1/nodes', kubeNode, said);
  const stores = [services, slices, nodes];
  const pause = wakeablePause(clock, signal);
  const publisher = servicePublisher({ api, clock, random, log, signal });

  /** By uid: the status says it too, but only when it has been written. */
  let given: ReadonlyMap<string, readonly VipAddress[]> = new Map();

  const look = () => {
    const allocations = allocate(services.all, policy, given);
    given = new Map(allocations.map(({ service, addresses }) => [service.metadata.uid, addresses]));
    const world = { allocations, nodes: nodes.all, endpointNodes: endpointNodesOf(slices.all), subnets: subnets() };
    const { addresses, mistakes } = planAddresses(world);
    said(mistakes.length === 0 ? undefined : mistakes.map(({ key, message }) => `${key}: ${message}`).join('; '));
    publisher.services(
      allocations,
      services.all.filter((service) => !isOurs(service, policy)),
    );
    onView({ allocations, addresses, nodes: nodes.all, apiServers: apiServersOf(slices.all) });
  };

  const listAll = (end: AbortSignal) => Promise.all(stores.map((store) => store.list(api, end)));

  /** Until a watch is refused or a list fails. */
  const follow = async (): Promise<void> => {
    using end = linkedAbort(signal);
    // All lists first: an address that an older Service has may not be given to one that is listed before it.
    await listAll(end.signal);
    const watching = stores.map((store) => store.watch(api, pause.wake, end.signal));
    const broken = Promise.race(watching);
    broken.catch(pause.wake);
    try {
      let relistAtMs = clock.monotonicMs() + firstRelistMs;
      for (;;) {
        pause.forgetHints();
        look();
        if (await pause.wait(Math.max(0, relistAtMs - clock.monotonicMs()))) await sleep(clock, settleMs, signal);
        else {
          await listAll(end.signal);
          relistAtMs = clock.monotonicMs() + relistMs;
        }
        await Promise.race([broken, Promise.resolve()]);
      }
    } finally {
      end.abort(new Error('the API is asked anew'));
      await Promise.allSettled(watching);
    }
  };

  return {
    async run() {
      using _publisher = publisher;
      for (let times = 1; ; times++) {
        const beganMs = clock.monotonicMs();
        await follow().catch((error: unknown) => {
          signal.throwIfAborted();
          said(`Services cannot be read: ${messageOf(error)}`);
        });
        if (clock.monotonicMs() - beganMs > relistMs) times = 1;
        await sleep(clock, backoffDelayMs(awayPace, times, random), signal);
      }
    },
    look: pause.wake,
    publish: publisher.holders,
  };
}

/** Of the slice that they write themselves: any other one that says it is of their Service is somebody else's word. */
export function apiServersOf(slices: readonly KubeEndpointSlice[]): readonly string[] {
  return slices
    .filter(({ metadata: { namespace, name } }) => `${namespace}/${name}` === apiServerService)
    .flatMap(({ endpoints, ports }) =>
      (endpoints ?? [])
        .flatMap(({ addresses }) => addresses ?? [])
        .filter((address) => isIPv4(address))
        .flatMap((address) => (ports ?? []).map(({ port }) => `${address}:${String(port ?? 443)}`)),
    );
}

/** Of a Service the nodes that have a ready endpoint. */
function endpointNodesOf(slices: readonly KubeEndpointSlice[]): ReadonlyMap<ServiceKey, ReadonlySet<NodeName>> {
  const nodes = new Map<ServiceKey, Set<NodeName>>();
  for (const { metadata, endpoints } of slices) {
    const name = metadata.labels?.[serviceNameLabel];
    if (name === undefined) continue;
    const key = keyOf({ metadata: { ...metadata, name } });
    const own = nodes.get(key) ?? new Set<NodeName>();
    nodes.set(key, own);
    for (const { nodeName, conditions } of endpoints ?? []) {
      // Absent means ready. Source: Kubernetes EndpointSlice API.
      if (nodeName !== undefined && conditions?.ready !== false) own.add(nodeName);
    }
  }
  return nodes;
}
