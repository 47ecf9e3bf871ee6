/**
 * Follows which API servers there are for as long as a balancer runs (demand H1): watches them
 * through the balancer itself, so with failover, and asks the join servers now and then, more often
 * while no API answers. What the list is then, api-servers.ts says; whoever is told of it keeps it.
 */
import { linkedAbort } from '../../kernel/abort.ts';
import { backoffDelayMs, jitteredMs, type Backoff } from '../../kernel/backoff.ts';
import { sleep, type Clock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/message-of.ts';
import { saidOnce } from '../../kernel/said-once.ts';
import type { KubeClient } from '../kube-client.ts';
import { apiEndpointSlices, apiServerList, withSliceEvent, type ApiEndpoints } from './api-servers.ts';

export interface FollowPorts {
  /** A client of the API, with the credentials of now. */
  readonly connect: () => Promise<KubeClient>;
  /** host:port of the API servers that a join server knows; remembers the join servers that it tells of. */
  readonly ask: (signal: AbortSignal) => Promise<readonly string[]>;
  readonly isApiReachable: () => boolean;
  /** The whole list, whenever it is another than before. */
  readonly update: (servers: readonly string[]) => void;
  readonly clock: Clock;
  /** [0, 1): spreads the questions of many nodes. */
  readonly random: () => number;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

/** A server that starts enters and leaves the list several times. Source: K3s, which waits as long. */
export const settleMs = 1_000;
/** Between two questions to the join servers: while the API tells all changes, and while it does not (K3s's rhythm). */
export const askEveryMs = { reachable: 30_000, unreachable: 5_000 } as const;
const rewatch: Backoff = { firstMs: 250, factor: 2, maxMs: 10_000, jitter: 0.2 };
const jitter = 0.2;

/** Runs until `signal` aborts, and then rejects with its reason. */
export async function followApiServers(ports: FollowPorts): Promise<never> {
  const { connect, ask, isApiReachable, update, clock, random, log, signal } = ports;
  using life = linkedAbort(signal);
  let endpoints: ApiEndpoints = new Map();
  let told: readonly string[] = [];
  let last = '';
  let settling: Disposable | undefined;

  const apply = () => {
    settling = undefined;
    const list = apiServerList({ endpoints, isApiReachable: isApiReachable(), told });
    if (list.length === 0 || list.join() === last) return;
    last = list.join();
    update(list);
  };
  const changed = () => {
    // The first list there is nothing to settle about.
    if (last === '') apply();
    else settling ??= clock.timer(settleMs, apply);
  };
  const [sayOfWatch, sayOfAsking] = [saidOnce(log), saidOnce(log)];

  const watching = async () => {
    for (let failures = 1; ; failures += 1) {
      try {
        using client = await connect();
        for await (const event of client.watch(apiEndpointSlices.path, apiEndpointSlices.query, life.signal)) {
          endpoints = withSliceEvent(endpoints, event);
          failures = 0;
          changed();
        }
      } catch (error) {
        life.signal.throwIfAborted();
        sayOfWatch(`the API servers cannot be watched: ${messageOf(error)}`);
      }
      await sleep(clock, backoffDelayMs(rewatch, failures, random), life.signal);
    }
  };

  const asking = async () => {
    for (;;) {
      try {
        told = await ask(life.signal);
        sayOfAsking(undefined);
      } catch (error) {
        life.signal.throwIfAborted();
        sayOfAsking(`no join server tells of servers: ${messageOf(error)}`);
      }
      changed();
      const everyMs = isApiReachable() ? askEveryMs.reachable : askEveryMs.unreachable;
      await sleep(clock, jitteredMs(everyMs, jitter, random), life.signal);
    }
  };

  try {
    return await Promise.race([watching(), asking()]);
  } catch (error) {
    life.abort(error instanceof Error ? error : new Error(String(error)));
    throw error;
  } finally {
    settling?.[Symbol.dispose]();
  }
}
