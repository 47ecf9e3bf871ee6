/**
 * The `node-ready` builtin: the node is Ready by the word of the kubelet that runs now.
 *
 * A stored Ready condition outlives its kubelet by 40 s and more, so it alone proves nothing: the
 * node's Lease must have been renewed after the present kubelet was spawned (design contract 2).
 * Both are watched, nothing is polled; but a kubelet's own credentials (an agent has no others) may
 * only read its Lease and not watch it, so there it is asked for until it is fresh.
 */
import * as z from 'zod';
import type { Builtin, BuiltinContext } from '../unit/builtin.ts';
import { linkedAbort } from '../kernel/abort.ts';
import { sleep, type Clock } from '../kernel/clock.ts';
import { saidOnce } from '../kernel/said-once.ts';
import type { Connect } from './api-objects.ts';
import { KubeApiError, type KubeClient } from './kube-client.ts';

const node = z.object({
  status: z
    .object({
      conditions: z
        .array(
          z.object({
            type: z.string(),
            status: z.string(),
            reason: z.string().optional(),
            message: z.string().optional(),
          }),
        )
        .nullish(),
    })
    .optional(),
});
const lease = z.object({ spec: z.object({ renewTime: z.string().nullish() }).optional() });

export interface NodeFacts {
  /** Condition Ready. */
  readonly ready: boolean;
  /** Why not, in the kubelet's words. */
  readonly reason: string;
}

export function readNode(object: unknown): NodeFacts {
  const condition = node.parse(object).status?.conditions?.find(({ type }) => type === 'Ready');
  if (condition === undefined) return { ready: false, reason: 'it has no Ready condition yet' };
  return { ready: condition.status === 'True', reason: condition.message ?? condition.reason ?? condition.status };
}

/** Wall-clock milliseconds of the last renewal, or undefined. */
export function readLease(object: unknown): number | undefined {
  const renewed = lease.parse(object).spec?.renewTime;
  return renewed === undefined || renewed === null ? undefined : Date.parse(renewed);
}

export interface NodeReadyQuestion {
  readonly nodeName: string;
  /** Wall-clock milliseconds at which the kubelet that counts was spawned. */
  readonly kubeletStartedMs: number;
  /** Says what is still missing, each time that changes. */
  readonly log: (line: string) => void;
  /** Paces the questions for a Lease that may not be watched; undefined: it may. */
  readonly askLeaseBy?: Clock | undefined;
}

const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
/** A new kubelet makes its Lease within a second. */
const askLeaseEveryMs = 200;

/** @throws the signal's reason when it aborts, or the API's refusal */
export async function untilNodeReady(
  client: KubeClient,
  question: NodeReadyQuestion,
  parent: AbortSignal,
): Promise<void> {
  const { nodeName, kubeletStartedMs, log, askLeaseBy } = question;
  using both = linkedAbort(parent);
  let facts: NodeFacts = { ready: false, reason: 'it is not registered yet' };
  let renewedMs: number | undefined;
  const say = saidOnce((missing) => log(`node ${nodeName}: ${missing}`));
  const isReady = () => {
    // renewTime is rounded to microseconds, startedAt is not: a renewal in the same millisecond counts.
    const fresh = renewedMs !== undefined && renewedMs >= Math.floor(kubeletStartedMs);
    const missing = !facts.ready
      ? facts.reason
      : fresh
        ? undefined
        : 'its lease was not renewed by the present kubelet yet';
    say(missing);
    return missing === undefined;
  };
  const follow = async (path: string, take: (object: unknown) => void) => {
    const query = { fieldSelector: `metadata.name=${nodeName}` };
    for await (const { type, object } of client.watch(path, query, both.signal)) {
      take(type === 'DELETED' ? undefined : object);
      if (isReady()) return;
    }
  };
  const takeLease = (object: unknown) => {
    renewedMs = object === undefined ? undefined : readLease(object);
  };
  const ask = async (clock: Clock) => {
    for (;;) {
      takeLease(await leaseOf(client, nodeName, both.signal));
      if (isReady()) return;
      await sleep(clock, askLeaseEveryMs, both.signal);
    }
  };
  const watches = [
    follow('/api/v1/nodes', (object) => {
      facts = object === undefined ? { ready: false, reason: 'it was deleted' } : readNode(object);
    }),
    askLeaseBy === undefined ? follow(leases, takeLease) : ask(askLeaseBy),
  ];
  try {
    await Promise.race(watches);
  } finally {
    both.abort(new Error('the other watch has seen enough'));
    await Promise.allSettled(watches);
  }
}

/** Undefined while there is none, and while the API cannot say: its refusals end it, as they end a watch. */
async function leaseOf(client: KubeClient, nodeName: string, signal: AbortSignal): Promise<unknown> {
  try {
    return await client.get(`${leases}/${nodeName}`, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof KubeApiError && error.status < 500 && error.status !== 404) throw error;
    return undefined;
  }
}

export interface NodeReadyPorts {
  readonly clock: Clock;
  readonly connect: Connect;
  /** How the Lease is followed: `get` with credentials that may not watch it. */
  readonly leaseBy?: 'watch' | 'get';
  /** What is done before a Ready node counts as ready. */
  readonly whenReady?: (client: KubeClient, context: Pick<BuiltinContext, 'signal' | 'log'>) => Promise<void>;
}

export function nodeReadyBuiltin(nodeName: string, ports: NodeReadyPorts): Builtin {
  const { clock, connect, leaseBy = 'watch', whenReady } = ports;
  return async ({ snapshotOf, signal, log }) => {
    using client = await connect();
    // No start is known of an unmanaged kubelet: then only a renewal from now on counts.
    const kubeletStartedMs = snapshotOf('kubelet').startedAt?.wallMs ?? clock.wallMs();
    const askLeaseBy = leaseBy === 'get' ? clock : undefined;
    await untilNodeReady(client, { nodeName, kubeletStartedMs, log, askLeaseBy }, signal);
    await whenReady?.(client, { signal, log });
    log(`node ${nodeName} is Ready`);
  };
}
