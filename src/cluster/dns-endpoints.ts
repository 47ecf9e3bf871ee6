/**
 * Keeps pods from asking cluster DNS of a server that is down. Every server has put itself into the
 * Service `kube-dns` by a slice of its own (cluster-dns.ts), and nobody of Kubernetes looks after
 * slices that people make; so every server looks after those of all: not ready while the Node is not.
 */
import * as z from 'zod';
import { sleep, type Clock } from '../kernel/clock.ts';
import type { KubeClient } from './kube-client.ts';
import { readNode } from './node-ready.ts';

const path = '/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices';
const ours = 'kubernetes.io/service-name=kube-dns,app.kubernetes.io/managed-by=k3s-lite';

const sliceSchema = z.looseObject({
  metadata: z.object({ name: z.string(), labels: z.record(z.string(), z.string()) }),
  addressType: z.string(),
  endpoints: z
    .array(
      z.object({
        addresses: z.array(z.string()),
        conditions: z.object({ ready: z.boolean().nullish() }).nullish(),
        nodeName: z.string().optional(),
      }),
    )
    .nullish(),
  ports: z.array(z.unknown()).nullish(),
});
export type DnsSlice = z.infer<typeof sliceSchema>;

const listOf = <T>(item: z.ZodType<T>) => z.object({ items: z.array(item).nullish() });
const named = z.looseObject({ metadata: z.object({ name: z.string() }) });

export interface SliceChange {
  readonly slice: DnsSlice;
  readonly ready: boolean;
}

/**
 * Pure. A Node that is not there is not Ready: it may be about to join, so its slice is not removed.
 * What no node is named for is left alone.
 *
 * @param nodes - by name, whether they are Ready
 */
export function changesOfSlices(slices: readonly DnsSlice[], nodes: ReadonlyMap<string, boolean>): SliceChange[] {
  return slices.flatMap((slice) => {
    const [endpoint] = slice.endpoints ?? [];
    if (endpoint?.nodeName === undefined) return [];
    const ready = nodes.get(endpoint.nodeName) ?? false;
    return ready === (endpoint.conditions?.ready ?? true) ? [] : [{ slice, ready }];
  });
}

export interface DnsEndpointsPorts {
  readonly connect: () => Promise<Pick<KubeClient, 'get' | 'apply'> & Disposable>;
  readonly clock: Clock;
  /** [0, 1): the servers look at different times. */
  readonly random: () => number;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

/** A Node is given up 40 s after its last word; another 10 s do not matter. */
const everyMs = 10_000;

/** Runs until `signal` aborts, and then rejects with its reason. */
export async function keepDnsEndpoints({ connect, clock, random, log, signal }: DnsEndpointsPorts): Promise<never> {
  for (;;) {
    await sleep(clock, everyMs * (0.8 + 0.4 * random()), signal);
    try {
      using client = await connect();
      const [slices, nodes] = await Promise.all([
        client.get(`${path}?labelSelector=${encodeURIComponent(ours)}`, signal),
        client.get('/api/v1/nodes', signal),
      ]);
      const isReady = new Map(
        (listOf(named).parse(nodes).items ?? []).map((node) => [node.metadata.name, readNode(node).ready] as const),
      );
      for (const { slice, ready } of changesOfSlices(listOf(sliceSchema).parse(slices).items ?? [], isReady)) {
        await client.apply(`${path}/${slice.metadata.name}`, marked(slice, ready), signal);
        log(
          `cluster DNS is ${ready ? '' : 'not '}asked at ${slice.metadata.name}: its Node is ${ready ? '' : 'not '}Ready`,
        );
      }
    } catch {
      signal.throwIfAborted();
      // No API: nobody is told anything by it either. The next look comes soon.
    }
  }
}

const marked = ({ metadata, addressType, endpoints, ports }: DnsSlice, ready: boolean): object => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: metadata.name, namespace: 'kube-system', labels: metadata.labels },
  addressType,
  endpoints: (endpoints ?? []).map((endpoint) => ({ ...endpoint, conditions: { ready } })),
  ports,
});
