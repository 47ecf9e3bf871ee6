/** Writes to each Service what it has and who holds it, whenever that changes, through a queue that nobody waits for. */
import type { Clock } from '../../kernel/clock.ts';
import { saidOnce } from '../../kernel/said-once.ts';
import type { Allocation } from './allocate.ts';
import type { KubeService, ServiceKey } from './kube-objects.ts';
import type { ServiceApi } from './object-store.ts';
import {
  clearedBody,
  eventBody,
  eventsPath,
  noticesOf,
  statusBody,
  statusPath,
  type Holders,
} from './service-status.ts';
import { writeQueue } from './write-queue.ts';

export interface ServicePublisher extends Disposable {
  services(ours: readonly Allocation[], others: readonly KubeService[]): void;
  /** Undefined: somebody else publishes. */
  holders(holders: Holders | undefined): void;
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
    const present = new Set(ours.map(({ key }) => key));
    for (const key of told.keys()) if (!present.has(key)) told.delete(key);
  };

  const publishOne = (allocation: Allocation, now: Holders) => {
    const { service, key, problem } = allocation;
    const body = statusBody(allocation, now, clock.wallMs());
    if (body === undefined) queue.forget(statusPath(service));
    else put(statusPath(service), (end) => api.apply(statusPath(service), body, end));
    for (const notice of noticesOf(allocation, now, told.get(key))) {
      const event = eventBody(service, notice, clock.wallMs());
      events += 1;
      put(`event ${String(events)} of ${key}`, (end) => api.create(eventsPath(service), event, end));
    }
    told.set(key, { holders: now, problem: problem?.message ?? '' });
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
    holders(next) {
      if (next === undefined) told.clear();
      holders = next;
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
