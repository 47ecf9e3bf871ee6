/**
 * Constructs the balancer of an agent: all API servers behind one address of the node, with what
 * follows which ones there are. Its process owns their list; `join` only says where it begins.
 */
import { readFile } from 'node:fs/promises';
import { settingsSchema } from '../balancer/settings.ts';
import { followApiServers } from '../cluster/discovery/follow-api-servers.ts';
import { clusterFinder } from '../cluster/join/cluster-finder.ts';
import { joinClient } from '../cluster/join/join-client.ts';
import { readJoinedIfThere, type Joined } from '../cluster/join/joined.ts';
import { parseToken } from '../cluster/join/token.ts';
import { kubeClient, readCredentials } from '../cluster/kube-client.ts';
import { layoutOf } from '../cluster/layout.ts';
import { heartbeatsNow } from '../cluster/peers/follow-peer-health.ts';
import { sleep, systemClock } from '../kernel/clock.ts';
import { systemProc } from '../process/proc-reader.ts';
import { runBalancer, type BalancerProcess } from './internal-balancer.ts';
import { ownPaths } from './paths.ts';

/** Between two looks at what `join` writes, at a node's first start alone. */
const joinedEveryMs = 50;

export interface InternalApiBalancerOptions extends BalancerProcess {
  /** Where it listens, on loopback. */
  readonly port: number;
  readonly policy?: string | undefined;
}

/** @throws the reason of `signal` when that aborts; ERR_NOT_READY if the address is taken */
export async function internalApiBalancer({ port, policy, ...around }: InternalApiBalancerOptions): Promise<never> {
  const { log } = around;
  const layout = layoutOf(ownPaths(around));
  const clock = systemClock;
  const settings = settingsSchema.parse({
    name: 'apiserver',
    listen: `127.0.0.1:${String(port)}`,
    // Anybody may ask an API server for its readiness, and it is known by the authority that `join` has checked.
    check: { readyz: { ca: `${layout.agentTls}/server-ca.crt` } },
    heartbeats: layout.peerHealth,
    store: `${layout.balancerStores}/apiserver.json`,
    policy,
  });
  const finder = clusterFinder({
    urls: [],
    file: layout.knownServers,
    token: async () => parseToken(await readFile(layout.agentToken, 'utf8'), 'node'),
    clock,
    random: Math.random,
    heartbeats: () => heartbeatsNow({ file: layout.peerHealth, bootId: systemProc.bootId(), clock }),
    log,
  });
  const joinedBefore = await readJoinedIfThere(layout.joined);
  return await runBalancer(settings, around, {
    seeds: joinedBefore?.apiServers ?? [],
    async follow(balancer, signal) {
      if (joinedBefore === undefined) {
        const { apiServers } = await untilJoined(layout.joined, signal);
        balancer.update(apiServers.map((address) => ({ address })));
      }
      return await followApiServers({
        connect: async () =>
          kubeClient(
            // kube-proxy's: it may watch EndpointSlices anyway, which kubelet may not.
            await readCredentials(`https://127.0.0.1:${String(port)}`, layout.agentTls, 'client-kube-proxy'),
            clock,
          ),
        async ask(end) {
          const { servers } = await joinClient({ ...(await finder.find(end)), clock, signal: end }).servers();
          await finder.learn(servers.map(({ join }) => join));
          return servers.flatMap(({ api }) => api ?? []);
        },
        isApiReachable: () => balancer.isReachable,
        update: (servers) => balancer.update(servers.map((address) => ({ address }))),
        clock,
        random: Math.random,
        log,
        signal,
      });
    },
  });
}

/** Until it has a list it has nobody for a client; but whoever needs one waits for `join` too. */
async function untilJoined(file: string, signal: AbortSignal): Promise<Joined> {
  for (;;) {
    const joined = await readJoinedIfThere(file);
    if (joined !== undefined) return joined;
    await sleep(systemClock, joinedEveryMs, signal);
  }
}
