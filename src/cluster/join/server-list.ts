/**
 * The servers of the cluster, as its etcd knows them: its members, and the API servers that are
 * alive. So every server tells of all others, also one without an API, and nobody has to keep a list.
 *
 * Ports are not kept anywhere: the servers of one cluster have the same ones.
 */
import type { Clock } from '../../kernel/clock.ts';
import { inTime } from '../../kernel/in-time.ts';
import { parseAddress } from '../ipv4.ts';
import type { EtcdMember } from '../etcd/etcd-messages.ts';
import { originOf } from './server-url.ts';
import type { KnownServers } from './wire.ts';

export interface OwnServer {
  readonly name: string;
  readonly ip: string;
  readonly joinPort: number;
  readonly apiPort: number;
  readonly hasApi: boolean;
  readonly etcdPort: number;
  readonly hasEtcd: boolean;
}

export interface ServerListPorts {
  readonly own: OwnServer;
  readonly members: (signal: AbortSignal) => Promise<readonly EtcdMember[]>;
  /** IP addresses of the API servers that are alive. */
  readonly apiAddresses: (signal: AbortSignal) => Promise<readonly string[]>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Beneath this key of etcd every API server that is alive keeps one named after its address, for 15 s at
 * a time. Source: Kubernetes `reconcilers.NewLeaseEndpointReconciler`, below the default of --etcd-prefix.
 */
export const apiLeases = '/registry/masterleases/';

export const addressesOf = (keys: readonly string[]): readonly string[] =>
  keys.map((key) => key.slice(apiLeases.length)).filter((name) => parseAddress(name) !== undefined);

/** Whoever asks has not much patience, and what was known a moment ago is good enough. */
const askWithinMs = 1_500;

/** @returns what gives the list as it is now, or as it was when etcd last answered */
export function serverList({
  own,
  members,
  apiAddresses,
  clock,
  signal,
}: ServerListPorts): () => Promise<KnownServers> {
  let last: KnownServers = serversOf(own, [], []);
  return async () => {
    const asked = await inTime({ limitMs: askWithinMs, clock, signal }, 'etcd did not answer in time', (end) =>
      Promise.all([members(end), apiAddresses(end)]),
    ).catch(() => undefined);
    signal.throwIfAborted();
    if (asked !== undefined) last = serversOf(own, ...asked);
    return last;
  };
}

/** Pure. This server is the first. */
export function serversOf(
  own: OwnServer,
  members: readonly EtcdMember[],
  apiAddresses: readonly string[],
): KnownServers {
  const at = (ip: string, port: number) => `${ip}:${String(port)}`;
  // One that has never run tells no address for clients, and can tell nobody anything.
  const etcd = new Map(
    members.flatMap(({ name, clientUrls }) => clientUrls.map((url) => [new URL(url).hostname, { name, url }] as const)),
  );
  const others = [...new Set([...etcd.keys(), ...apiAddresses])].filter((ip) => ip !== own.ip).sort();
  return {
    servers: [
      {
        name: own.name,
        join: originOf(own.ip, own.joinPort),
        ...(own.hasApi ? { api: at(own.ip, own.apiPort) } : {}),
        ...(own.hasEtcd ? { etcd: at(own.ip, own.etcdPort) } : {}),
      },
      ...others.map((ip) => {
        const member = etcd.get(ip);
        return {
          ...(member === undefined ? {} : { name: member.name }),
          join: originOf(ip, own.joinPort),
          ...(apiAddresses.includes(ip) ? { api: at(ip, own.apiPort) } : {}),
          ...(member === undefined ? {} : { etcd: new URL(member.url).host }),
        };
      }),
    ],
  };
}
