/**
 * Which API servers there are, from the two that can tell: the API itself (EndpointSlices of the
 * Service `kubernetes`, where each server enters and leaves by itself) and the join servers, which
 * answer while no API does. Pure.
 *
 * As long as the API can be reached its word counts alone: only so does a server that was removed
 * leave. When it cannot, what the join servers tell is added to what is known, and nothing leaves.
 */
import * as z from 'zod';
import { describeAddress } from '../../probe/connection.ts';
import type { WatchEvent } from '../kube-client.ts';

/** What to watch. Source: Kubernetes, the slices that kube-apiserver keeps of itself. */
export const apiEndpointSlices = {
  path: '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices',
  query: { labelSelector: 'kubernetes.io/service-name=kubernetes' },
} as const;

const slice = z.object({
  metadata: z.object({ name: z.string() }),
  endpoints: z
    .array(
      z.object({
        addresses: z.array(z.string()),
        conditions: z.object({ ready: z.boolean().nullish() }).nullish(),
      }),
    )
    .nullish(),
  ports: z
    .array(z.object({ name: z.string().nullish(), port: z.number().int().min(1).max(65_535).nullish() }))
    .nullish(),
});

/** host:port of each API server, by the slice that names it. */
export type ApiEndpoints = ReadonlyMap<string, readonly string[]>;

/** What is no slice changes nothing: whoever sends it is not to empty the list. */
export function withSliceEvent(endpoints: ApiEndpoints, { type, object }: WatchEvent): ApiEndpoints {
  const parsed = slice.safeParse(object);
  if (!parsed.success) return endpoints;
  const changed = new Map(endpoints);
  if (type === 'DELETED') changed.delete(parsed.data.metadata.name);
  else changed.set(parsed.data.metadata.name, serversOf(parsed.data));
  return changed;
}

/** host:port of each API server, of the one slice that kube-apiserver keeps. @throws ZodError when it is none */
export const serversOfSlice = (object: unknown): readonly string[] => serversOf(slice.parse(object));

function serversOf({ endpoints, ports }: z.infer<typeof slice>): readonly string[] {
  const addresses = (endpoints ?? [])
    // Source: Kubernetes, "ready: unset means ready".
    .filter(({ conditions }) => conditions?.ready !== false)
    .flatMap(({ addresses: each }) => each);
  return addresses.flatMap((host) =>
    (ports ?? []).flatMap(({ port }) => (port == null ? [] : [describeAddress({ kind: 'tcp', host, port })])),
  );
}

export interface ServerSources {
  readonly endpoints: ApiEndpoints;
  /** At least one API server is known to answer. */
  readonly isApiReachable: boolean;
  /** host:port, as join servers told last. */
  readonly told: readonly string[];
}

/** Sorted, each once; empty when nobody has told anything. */
export function apiServerList({ endpoints, isApiReachable, told }: ServerSources): readonly string[] {
  const listed = [...endpoints.values()].flat();
  const counted = isApiReachable && listed.length > 0 ? listed : [...listed, ...told];
  return [...new Set(counted)].sort();
}
