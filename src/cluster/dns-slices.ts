/**
 * Which servers of cluster DNS are asked, as their EndpointSlices say: what of them has to change.
 * Pure; who looks and who writes is dns-endpoints.ts, what Leases say is dns-leases.ts.
 *
 * With a Lease anybody who is steady takes a silent one out, and its owner alone puts it back, once it is
 * steady itself: then nobody can find it silent. So slices do not change to and fro. An owner who leaves stays out
 * until it has started again.
 *
 * What a Lease says goes before what the Node says. A Node is not Ready for what DNS does not need (its kubelet,
 * its containers), while a renewed Lease proves both that the DNS answered and that the machine's packets went
 * to most servers and back: one that is cut off cannot renew. A cut between two machines alone no Node shows, either.
 * But a silent Lease whose Node is not Ready needs no judge who is steady: two have found it silent by two ways.
 */
import * as z from 'zod';
import type { Labelled } from './api-objects.ts';

export const slicesPath = '/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices';
const sliceSelector = 'kubernetes.io/service-name=kube-dns,app.kubernetes.io/managed-by=k3s-lite';

const sliceSchema = z.looseObject({
  metadata: z.object({ name: z.string(), resourceVersion: z.string(), labels: z.record(z.string(), z.string()) }),
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
  ports: z.array(z.looseObject({ name: z.string().nullish(), port: z.number().nullish() })).nullish(),
});
export type DnsSlice = z.infer<typeof sliceSchema>;

/** All servers' own. */
export const slicesOfDns: Labelled<DnsSlice> = { path: slicesPath, selector: sliceSelector, item: sliceSchema };

export interface DnsView {
  /** Of this machine. */
  readonly nodeName: string;
  readonly slices: readonly DnsSlice[];
  /** By name, whether they are Ready; without those that are not there. */
  readonly nodes: ReadonlyMap<string, boolean>;
  /** Nodes whose cluster DNS has a Lease. */
  readonly leased: ReadonlySet<string>;
  /** Those of them whose Lease has not changed for too long. */
  readonly silent: ReadonlySet<string>;
  /** Whether this machine has read and renewed for long enough. */
  readonly isSteady: boolean;
  /** Whether this machine leaves, or has left, by its own will. */
  readonly isLeaving: boolean;
}

export type SliceReason = 'node' | 'lease' | 'leaving';
export interface SliceChange {
  readonly slice: DnsSlice;
  readonly ready: boolean;
  readonly reason: SliceReason;
}

export const nodeOf = ({ endpoints }: DnsSlice): string | undefined => endpoints?.[0]?.nodeName;
export const isReady = ({ endpoints }: DnsSlice): boolean => endpoints?.[0]?.conditions?.ready ?? true;

/** host:port at which it is asked; undefined when it does not say. */
export function serverOf({ endpoints, ports }: DnsSlice): string | undefined {
  const address = endpoints?.[0]?.addresses[0];
  const port = ports?.find(({ name }) => name === 'dns')?.port;
  return address === undefined || typeof port !== 'number' ? undefined : `${address}:${String(port)}`;
}

/** What no node is named for is left alone; and where nobody would be left, nobody is taken out. */
export function changesOfSlices(view: DnsView): SliceChange[] {
  const changes = view.slices.flatMap((slice) => changeOf(slice, view));
  const out = new Set(changes.filter(({ ready }) => !ready).map(({ slice }) => slice));
  const isAnyLeft =
    changes.some(({ ready }) => ready) || view.slices.some((slice) => isReady(slice) && !out.has(slice));
  return isAnyLeft ? changes : [];
}

function changeOf(slice: DnsSlice, view: DnsView): SliceChange[] {
  const node = nodeOf(slice);
  if (node === undefined) return [];
  const { ready, reason } = wantedOf(node, isReady(slice), view);
  return ready === isReady(slice) ? [] : [{ slice, ready, reason }];
}

function wantedOf(node: string, wasReady: boolean, view: DnsView): { ready: boolean; reason: SliceReason } {
  const { nodeName, nodes, leased, silent, isLeaving } = view;
  // Until it starts again, whatever else is so.
  if (node === nodeName && isLeaving) return { ready: false, reason: 'leaving' };
  // A Node that is not there may be about to join, so its slice is not removed.
  if (!leased.has(node)) return { ready: nodes.get(node) ?? false, reason: 'node' };
  if (node === nodeName) return { ready: wasReady || view.isSteady, reason: 'lease' };
  const isOut = silent.has(node) && (isJudge(view) || nodes.get(node) === false);
  return { ready: wasReady && !isOut, reason: 'lease' };
}

/** Who is asked itself, and stays: so several who judge at the same time leave somebody, too. */
const isJudge = ({ nodeName, slices, isSteady }: DnsView): boolean =>
  isSteady && slices.some((slice) => nodeOf(slice) === nodeName && isReady(slice));

/** To be applied, if it is still what was read. */
export function changedSlice({ slice, ready }: Pick<SliceChange, 'slice' | 'ready'>): object {
  const { metadata, addressType, endpoints, ports } = slice;
  const { name, labels, resourceVersion } = metadata;
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name, namespace: 'kube-system', labels, resourceVersion },
    addressType,
    endpoints: (endpoints ?? []).map((endpoint) => ({ ...endpoint, conditions: { ready } })),
    ports,
  };
}

const why = {
  node: ['its Node is not Ready', 'its Node is Ready'],
  lease: ['it has not said for 5 s that it answers', 'it answers'],
  leaving: ['it is being stopped', ''],
} as const;

/** For people. */
export function changeText({ slice, ready, reason }: SliceChange): string {
  return `cluster DNS is ${ready ? '' : 'not '}asked at ${slice.metadata.name}: ${why[reason][ready ? 1 : 0]}`;
}
