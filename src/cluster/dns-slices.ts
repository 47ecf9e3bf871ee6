/**
 * Which servers of cluster DNS are asked, as their EndpointSlices say: what of them has to change.
 * Pure; who looks and who writes is dns-endpoints.ts.
 *
 * Two may differ about a third, when a cable between two machines is broken. So one that finds a
 * server silent writes its own name to the slice, and nobody but itself takes that back, as long as
 * its own Node is Ready: slices do not change to and fro.
 */
import * as z from 'zod';

/** Name of the node whose server of cluster DNS hears nothing of this one. */
const unheardBy = 'k3s-lite.io/unheard-by';

export const sliceSchema = z.looseObject({
  metadata: z.object({
    name: z.string(),
    labels: z.record(z.string(), z.string()),
    annotations: z.record(z.string(), z.string()).optional(),
  }),
  addressType: z.string(),
  endpoints: z
    .array(
      z.looseObject({
        addresses: z.array(z.string()),
        conditions: z.object({ ready: z.boolean().nullish() }).nullish(),
        nodeName: z.string().optional(),
      }),
    )
    .nullish(),
  ports: z.array(z.looseObject({ name: z.string().nullish(), port: z.number().nullish() })).nullish(),
});
export type DnsSlice = z.infer<typeof sliceSchema>;

/** One that has not answered yet is `unknown`: a firewall between two servers says nothing of their Nodes. */
export type Hearing = 'unknown' | 'answers' | 'silent';

export interface DnsView {
  readonly slices: readonly DnsSlice[];
  /** By name, whether they are Ready. */
  readonly nodes: ReadonlyMap<string, boolean>;
  /** By name of the slice, as this machine hears them. */
  readonly heard: ReadonlyMap<string, Hearing>;
  /** This machine's. */
  readonly nodeName: string;
}

export interface SliceChange {
  readonly slice: DnsSlice;
  readonly ready: boolean;
  /** Node that hears nothing of it. */
  readonly unheardBy?: string;
}

/** host:port at which it is asked; undefined when it does not say. */
export function serverOf({ endpoints, ports }: DnsSlice): string | undefined {
  const address = endpoints?.[0]?.addresses[0];
  const port = ports?.find(({ name }) => name === 'dns')?.port;
  return address === undefined || typeof port !== 'number' ? undefined : `${address}:${String(port)}`;
}

/**
 * A Node that is not there is not Ready: it may be about to join, so its slice is not removed.
 * What no node is named for is left alone. None is left out for its silence where more are silent than
 * answer, or where nobody would be left: then it is more likely that nobody hears anything.
 */
export function changesOfSlices(view: DnsView): SliceChange[] {
  const wanted = view.slices.flatMap((slice) => wantedOf(slice, view));
  const silent = wanted.filter(({ slice }) => view.heard.get(slice.metadata.name) === 'silent').length;
  const answering = [...view.heard.values()].filter((hearing) => hearing === 'answers').length;
  const isBelieved = silent <= answering && wanted.some(({ ready }) => ready);
  return wanted
    .map((one) => (isBelieved ? one : { slice: one.slice, ready: isNodeReady(one.slice, view) }))
    .filter((one) => one.ready !== isReady(one.slice) || one.unheardBy !== markOf(one.slice));
}

function wantedOf(slice: DnsSlice, view: DnsView): SliceChange[] {
  if (slice.endpoints?.[0]?.nodeName === undefined) return [];
  const by = unheardOf(slice, view);
  return [
    { slice, ready: isNodeReady(slice, view) && by === undefined, ...(by === undefined ? {} : { unheardBy: by }) },
  ];
}

/** Who does not hear it; one who said so first has the word. */
function unheardOf(slice: DnsSlice, { nodes, heard, nodeName }: DnsView): string | undefined {
  const mark = markOf(slice);
  const hearing = heard.get(slice.metadata.name) ?? 'unknown';
  if (mark === nodeName) return hearing === 'answers' ? undefined : nodeName;
  if (mark !== undefined && nodes.get(mark) === true) return mark;
  return hearing === 'silent' ? nodeName : undefined;
}

const markOf = ({ metadata }: DnsSlice): string | undefined => metadata.annotations?.[unheardBy];
const isReady = ({ endpoints }: DnsSlice): boolean => endpoints?.[0]?.conditions?.ready ?? true;
const isNodeReady = ({ endpoints }: DnsSlice, { nodes }: DnsView): boolean =>
  nodes.get(endpoints?.[0]?.nodeName ?? '') ?? false;

/** To be applied. */
export function changedSlice({ slice, ready, unheardBy: by }: SliceChange): object {
  const { metadata, addressType, endpoints, ports } = slice;
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: metadata.name,
      namespace: 'kube-system',
      labels: metadata.labels,
      ...(by === undefined ? {} : { annotations: { [unheardBy]: by } }),
    },
    addressType,
    endpoints: (endpoints ?? []).map((endpoint) => ({ ...endpoint, conditions: { ready } })),
    ports,
  };
}

/** Why, for people. */
export function changeText({ slice, ready, unheardBy: by }: SliceChange): string {
  const why = ready ? 'it answers' : by === undefined ? 'its Node is not Ready' : `${by} hears nothing of it`;
  return `cluster DNS is ${ready ? '' : 'not '}asked at ${slice.metadata.name}: ${why}`;
}
