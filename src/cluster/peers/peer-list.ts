/**
 * Whom a node keeps heartbeats with, and what is kept of them over a restart: it may be that nobody
 * can be asked who the others are, because they are what has failed. Pure: text in, text out.
 */
import * as z from 'zod';
import { parseAddress } from '../ipv4.ts';
import { parseJson } from '../../kernel/json.ts';

export interface Peer {
  readonly name: string;
  readonly ip: string;
}

/** In a large cluster not everybody knows everybody: each node asks so many, and is asked by as many. */
const mostPeers = 24;

const nodeSchema = z.object({
  metadata: z.object({ name: z.string() }),
  status: z.object({ addresses: z.array(z.object({ type: z.string(), address: z.string() })).nullish() }).optional(),
});

/** Undefined for one that has no address yet. */
export function peerOf(object: unknown): Peer | undefined {
  const { metadata, status } = nodeSchema.parse(object);
  const ip = status?.addresses?.find(
    ({ type, address }) => type === 'InternalIP' && parseAddress(address) !== undefined,
  );
  return ip === undefined ? undefined : { name: metadata.name, ip: ip.address };
}

export interface Everybody {
  readonly nodes: readonly unknown[];
  /** Addresses of API servers and members of etcd: one without a node is called by its address. */
  readonly serverIps: readonly string[];
}

/** The next ones after `own` in the ring of all names. */
export function peersOf({ nodes, serverIps }: Everybody, own: Peer): readonly Peer[] {
  const withNode = nodes.flatMap((node) => peerOf(node) ?? []);
  const known = new Set(withNode.map(({ ip }) => ip));
  const without = [...new Set(serverIps)].flatMap((ip) => (known.has(ip) ? [] : [{ name: ip, ip }]));
  const all = [...withNode, ...without].filter(({ name, ip }) => name !== own.name && ip !== own.ip);
  all.sort((a, b) => (a.name < b.name ? -1 : 1));
  const first = all.findIndex(({ name }) => name > own.name);
  const ring = first === -1 ? all : [...all.slice(first), ...all.slice(0, first)];
  return ring.slice(0, mostPeers);
}

/** Before any API has told who the nodes are, as where none ever does: those that were kept, and members of etcd. */
export function peersBefore(kept: readonly Peer[], memberIps: readonly string[], own: Peer): readonly Peer[] {
  const known = new Set([own.ip, ...kept.map(({ ip }) => ip)]);
  const more = memberIps.filter((ip) => !known.has(ip)).map((ip) => ({ name: ip, ip }));
  return [...kept, ...more].slice(0, mostPeers);
}

/** Of those that are kept, who has no node. */
export const withoutNode = (peers: readonly Peer[]): readonly string[] =>
  peers.flatMap(({ name, ip }) => (name === ip ? [ip] : []));

const fileSchema = z.object({
  version: z.literal(1),
  peers: z.array(z.object({ name: z.string(), ip: z.ipv4() })).max(mostPeers),
  /** Of peers that have ever answered, those in no list of the API among them. */
  heard: z.array(z.ipv4()).max(mostPeers).optional(),
});

export interface KeptPeers {
  readonly peers: readonly Peer[];
  /** Addresses of who has ever answered. */
  readonly heard: readonly string[];
}

export function peersText({ peers, heard }: KeptPeers): string {
  return `${JSON.stringify({ version: 1, peers, heard }, undefined, 2)}\n`;
}

/** None from a file that is damaged, or of another version: the API will tell. */
export function readPeers(text: string | undefined): KeptPeers {
  const parsed = fileSchema.safeParse(parseJson(text ?? ''));
  return parsed.success ? { peers: parsed.data.peers, heard: parsed.data.heard ?? [] } : { peers: [], heard: [] };
}
