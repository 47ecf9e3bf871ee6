/**
 * Which routes a node needs so that its pods reach those of the other nodes: one for each other
 * node's part of the pod network, by that node's address. Pure.
 *
 * Source: K3s, flannel's backend host-gw. It works where the nodes share a network segment, because
 * the packets travel as they are; a node behind a router is told of as out of reach by the kernel.
 */
import * as z from 'zod';
import { contains, parseAddress, parseNetwork } from '../ipv4.ts';

export interface Route {
  /** Network like 10.42.1.0/24. */
  readonly to: string;
  /** Address of the node that has it. */
  readonly via: string;
}

/** A route, and whose pods it leads to. */
export interface WantedRoute extends Route {
  readonly node: string;
}

const nodeSchema = z.object({
  metadata: z.object({ name: z.string() }),
  spec: z.object({ podCIDR: z.string().optional() }).optional(),
  status: z.object({ addresses: z.array(z.object({ type: z.string(), address: z.string() })).nullish() }).optional(),
});

/** The one route to a node's pods; undefined while it has no part of the pod network or no address yet. */
export function routeTo(object: unknown): WantedRoute | undefined {
  const { metadata, spec, status } = nodeSchema.parse(object);
  const to = spec?.podCIDR;
  const via = status?.addresses?.find(
    ({ type, address }) => type === 'InternalIP' && parseAddress(address) !== undefined,
  )?.address;
  return to === undefined || via === undefined ? undefined : { node: metadata.name, to, via };
}

/**
 * @param own - name of this node: its pods are at its own bridge
 * @param clusterCidr - network of all pods. What lies outside is not taken: whoever writes a Node object
 *   must not be able to draw other traffic to itself
 */
export function wantedRoutes(
  nodes: readonly unknown[],
  { own, clusterCidr }: { readonly own: string; readonly clusterCidr: string },
): readonly WantedRoute[] {
  const all = parseNetwork(clusterCidr);
  const routes = nodes.flatMap((node) => routeTo(node) ?? []);
  const ownPart = routes.find(({ node }) => node === own)?.to;
  const taken = new Set(ownPart === undefined ? [] : [ownPart]);
  return routes
    .filter(({ node }) => node !== own)
    .sort((a, b) => (a.node < b.node ? -1 : 1))
    .filter(({ to, via }) => {
      const part = parseNetwork(to);
      const isPod = part !== undefined && all !== undefined && contains(all, part.base) && part.prefix >= all.prefix;
      if (!isPod || contains(all, parseAddress(via) ?? all.base) || taken.has(to)) return false;
      taken.add(to);
      return true;
    });
}

/** Lines for `ip -batch` that make what the kernel has into what is wanted; none when it is that already. */
export function routeChanges(present: readonly Route[], wanted: readonly Route[], protocol: number): readonly string[] {
  const text = ({ to, via }: Route) => `${to} via ${via} proto ${String(protocol)}`;
  const there = new Set(present.map(text));
  const networks = new Set(wanted.map(({ to }) => to));
  return [
    ...present.filter(({ to }) => !networks.has(to)).map((route) => `route del ${text(route)}`),
    ...wanted.filter((route) => !there.has(text(route))).map((route) => `route replace ${text(route)}`),
  ];
}
