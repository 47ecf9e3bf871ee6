/**
 * Follows the nodes of the cluster for whoever needs one thing of them (their networks, their addresses).
 *
 * The nodes are listed at the first answer of the API, whenever a change of one is to that thing, and
 * every now and then, because a watch that breaks does not tell what was deleted meanwhile.
 */
import * as z from 'zod';
import { linkedAbort } from '../kernel/abort.ts';
import { backoffDelayMs } from '../kernel/backoff.ts';
import { sleep, type Clock } from '../kernel/clock.ts';
import { messageOf } from '../kernel/message-of.ts';
import { wakeablePause } from '../kernel/wakeable-pause.ts';
import { apiInTime } from './api-in-time.ts';
import { itemsOf } from './api-objects.ts';
import type { KubeClient } from './kube-client.ts';

export type NodesClient = Pick<KubeClient, 'get' | 'watch' | typeof Symbol.dispose>;

export interface FollowNodesOptions {
  readonly connect: () => Promise<NodesClient>;
  /** What is needed of a node, as one string; nodes change every few seconds, this nearly never. */
  readonly digest: (node: unknown) => string;
  /** All nodes, again and again, also when nothing has changed. */
  readonly onNodes: (nodes: readonly unknown[]) => Promise<void>;
  /** They cannot be read: told each time, `times` in a row. */
  readonly onAway: (reason: string, times: number) => Promise<void>;
  readonly rescanMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

const nodesPath = '/api/v1/nodes';
const named = z.object({ metadata: z.object({ name: z.string() }) });
/** Several nodes that come at the same time are one change. */
const settleMs = 100;
/** An API server that has fallen silent answers no list. */
const listWithinMs = 10_000;
const awayPace = { firstMs: 250, factor: 2, maxMs: 5_000, jitter: 0.2 };

/** Runs until `signal` aborts, and then rejects with its reason. */
export async function followNodes(options: FollowNodesOptions): Promise<never> {
  const { connect, digest, onNodes, onAway, rescanMs, clock, signal } = options;
  const pause = wakeablePause(clock, signal);
  let known = new Map<string, string>();
  let away = 0;
  for (;;) {
    try {
      using client = await connect();
      using end = linkedAbort(signal);
      const watching = watchNodes(client, { known: () => known, digest, wake: pause.wake, signal: end.signal });
      let watchEnded: Error | undefined;
      const isWatching = () => watchEnded === undefined;
      watching.catch((error: unknown) => {
        watchEnded = error instanceof Error ? error : new Error(messageOf(error));
        pause.wake();
      });
      try {
        for (;;) {
          // Refused while the list was not: the roles of a new cluster come one after the other.
          if (watchEnded !== undefined) throw watchEnded;
          pause.forgetHints();
          const nodes = await listNodes(client, clock, end.signal);
          known = new Map(nodes.map((node) => [nameOf(node), digest(node)]));
          await onNodes(nodes);
          if (await pause.wait(rescanMs)) await sleep(clock, settleMs, signal);
          if (isWatching()) away = 0;
        }
      } finally {
        end.abort(new Error('another connection is made'));
        await watching.catch(() => undefined);
      }
    } catch (error) {
      signal.throwIfAborted();
      away += 1;
      await onAway(messageOf(error), away);
      await sleep(clock, backoffDelayMs(awayPace, away, Math.random), signal);
    }
  }
}

const nameOf = (node: unknown): string => named.parse(node).metadata.name;

async function listNodes(client: NodesClient, clock: Clock, signal: AbortSignal): Promise<readonly unknown[]> {
  return itemsOf(await apiInTime({ limitMs: listWithinMs, clock, signal }, (end) => client.get(nodesPath, end)));
}

interface Watching {
  /** By name, as the last list said. */
  readonly known: () => ReadonlyMap<string, string>;
  readonly digest: (node: unknown) => string;
  readonly wake: () => void;
  readonly signal: AbortSignal;
}

async function watchNodes(client: NodesClient, { known, digest, wake, signal }: Watching): Promise<void> {
  for await (const { type, object } of client.watch(nodesPath, {}, signal)) {
    const before = known().get(nameOf(object));
    if (before !== (type === 'DELETED' ? undefined : digest(object))) wake();
  }
}
