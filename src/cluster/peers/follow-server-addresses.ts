/**
 * Follows where the API servers are, for one reason: a server without a node of its own is in no list
 * of nodes, and is a peer all the same. Its address is what the API servers tell of each other.
 */
import { backoffDelayMs, type Backoff } from '../../kernel/backoff.ts';
import { sleep, type Clock } from '../../kernel/clock.ts';
import { apiEndpointSlices, withSliceEvent, type ApiEndpoints } from '../discovery/api-servers.ts';
import type { NodesClient } from '../follow-nodes.ts';

export interface FollowServerAddressesOptions {
  readonly connect: () => Promise<NodesClient>;
  /** host:port of each, whenever they are others than before. */
  readonly onServers: (servers: readonly string[]) => void;
  readonly clock: Clock;
  /** [0, 1): spreads the attempts of many nodes. */
  readonly random: () => number;
  readonly signal: AbortSignal;
}

const rewatch: Backoff = { firstMs: 250, factor: 2, maxMs: 10_000, jitter: 0.2 };

/** Runs until `signal` aborts, and then rejects with its reason. While no API answers, what it told last counts. */
export async function followServerAddresses(options: FollowServerAddressesOptions): Promise<never> {
  const { connect, onServers, clock, random, signal } = options;
  let endpoints: ApiEndpoints = new Map();
  let last: string | undefined;
  for (let failures = 1; ; failures += 1) {
    try {
      using client = await connect();
      for await (const event of client.watch(apiEndpointSlices.path, apiEndpointSlices.query, signal)) {
        failures = 0;
        endpoints = withSliceEvent(endpoints, event);
        const servers = [...new Set([...endpoints.values()].flat())].sort();
        if (servers.join() === last) continue;
        last = servers.join();
        onServers(servers);
      }
    } catch {
      // Who follows the nodes tells that the API is away, and why.
      signal.throwIfAborted();
    }
    await sleep(clock, backoffDelayMs(rewatch, failures, random), signal);
  }
}
