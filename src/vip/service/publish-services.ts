/** Writes to each Service what it has and who holds it, whenever that changes, through a queue that nobody waits for. */
import type { Clock } from '../../kernel/clock.ts';
import { saidOnce } from '../../kernel/said-once.ts';
import type { Allocation } from './allocate.ts';
import type { VipAddress } from '../model.ts';
import { apiServerService, keyOf, type KubeService, type ServiceKey } from './kube-objects.ts';
import type { ServiceApi } from './object-store.ts';
import {
  clearedBody,
  eventBody,
  eventsPath,
  noticesOf,
  statusBody,
  statusPath,
  type Holders,
  type ServiceNotice,
} from './service-status.ts';
import { writeQueue } from './write-queue.ts';

export interface ServicePublisher extends Disposable {
  services(ours: readonly Allocation[], others: readonly KubeService[]): void;
  /**
   * @param holders - undefined: somebody else publishes
   * @param ofApiServers - addresses that the API servers share: told by events of their Service, and written to none
   */
  holders(holders: Holders | undefined, ofApiServers?: readonly VipAddress[]): void;
}

export function servicePublisher(options: {
  readonly api: ServiceApi;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}): ServicePublisher {
  const { api, clock, random, log, signal } = options;
  const said = saidOnce(log);
  const queue = writeQueue({
    clock,
    random,
    isFinal,
    onFailure: (key, reason) => said(`cannot write ${key}: ${reason}`),
    signal,
  });
  let ours: readonly Allocation[] = [];
  let others: readonly KubeService[] = [];
  let holders: Holders | undefined;
  let shared: readonly VipAddress[] = [];
  /** What was last told of each. */
  const told = new Map<ServiceKey, { readonly holders: Holders; readonly problem: string }>();
  let events = 0;

  const publish = () => {
    if (holders === undefined) return;
    for (const allocation of ours) publishOne(allocation, holders);
    for (const service of others) {
      const body = clearedBody(service);
      if (body !== undefined) put(statusPath(service), (end) => api.apply(statusPath(service), body, end));
    }
    publishShared(holders);
    const present = new Set([...ours.map(({ key }) => key), apiServerService]);
    for (const key of told.keys()) if (!present.has(key)) told.delete(key);
  };

  const publishOne = (allocation: Allocation, now: Holders) => {
    const { service, key, problem } = allocation;
    const body = statusBody(allocation, now, clock.wallMs());
    if (body === undefined) queue.forget(statusPath(service));
    else put(statusPath(service), (end) => api.apply(statusPath(service), body, end));
    tell(service, noticesOf(allocation, now, told.get(key)));
    told.set(key, { holders: now, problem: problem?.message ?? '' });
  };

  const publishShared = (now: Holders) => {
    const service = others.find((each) => keyOf(each) === apiServerService);
    if (service === undefined) return;
    const before = told.get(apiServerService);
    const allocation = { service, key: apiServerService, addresses: shared };
    // Its status does not say what it had: what another coordinator has told is not told again.
    if (before !== undefined) tell(service, noticesOf(allocation, now, before));
    told.set(apiServerService, { holders: now, problem: '' });
  };

  const tell = (service: KubeService, notices: readonly ServiceNotice[]) => {
    for (const notice of notices) {
      const event = eventBody(service, notice, clock.wallMs());
      events += 1;
      put(`event ${String(events)} of ${keyOf(service)}`, (end) => api.create(eventsPath(service), event, end));
    }
  };

  const put = (key: string, write: (end: AbortSignal) => Promise<unknown>) => {
    queue.put(key, async (end) => {
      await write(end);
    });
  };

  return {
    services(nextOurs, nextOthers) {
      ours = nextOurs;
      others = nextOthers;
      publish();
    },
    holders(next, ofApiServers = []) {
      if (next === undefined) told.clear();
      holders = next;
      shared = ofApiServers;
      publish();
    },
    [Symbol.dispose]: () => queue[Symbol.dispose](),
  };
}

/** Refused for what it says: it will be again. A conflict, too many requests and a time-out pass. */
function isFinal(error: unknown): boolean {
  const { status } = error as { readonly status?: unknown };
  return typeof status === 'number' && status >= 400 && status < 500 && ![401, 403, 408, 409, 429].includes(status);
}
