/**
 * Constructs the balancer of a server without etcd: the members of etcd behind one address of the
 * machine, at the port where kube-apiserver would find a member of its own.
 *
 * kube-apiserver could be given all members instead. Its client then spreads requests over all of
 * them and gives one that is silent up after 10 to 40 s, so one sick member stalls a third of all
 * requests for as long. Here all requests go to one member, each member is asked all the time
 * whether it can read by the quorum, and the connections of one that cannot are closed.
 */
import { serverOfUrl } from '../balancer/server-address.ts';
import { settingsSchema } from '../balancer/settings.ts';
import { followEtcdMembers } from '../cluster/discovery/follow-etcd-members.ts';
import { etcdClient } from '../cluster/etcd/etcd-client.ts';
import { readKnownMembers, rememberAddresses } from '../cluster/etcd/known-members.ts';
import { layoutOf } from '../cluster/layout.ts';
import { etcdTls } from '../cluster/members/own-member.ts';
import { systemClock } from '../kernel/clock.ts';
import { runBalancer, type BalancerProcess } from './internal-balancer.ts';
import { ownPaths } from './paths.ts';

export interface InternalEtcdBalancerOptions extends BalancerProcess {
  /** Where it listens, on loopback. */
  readonly port: number;
}

/** @throws the reason of `signal` when that aborts; ERR_NOT_READY if the address is taken */
export async function internalEtcdBalancer({ port, ...around }: InternalEtcdBalancerOptions): Promise<never> {
  const { log } = around;
  const layout = layoutOf(ownPaths(around));
  const clock = systemClock;
  const tls = etcdTls(layout.serverTls);
  const settings = settingsSchema.parse({
    name: 'etcd',
    listen: `127.0.0.1:${String(port)}`,
    // A read by the quorum. /health would also say no of a datastore that is full, of which no other member knows better.
    check: { get: { path: '/readyz', ...tls } },
    // Silent twice for 400 ms: of the member that is used that is known within 1.2 s.
    checkUsedEvery: '300ms',
    checkWithin: '400ms',
    // Longer than kube-apiserver's clients (grpc-go) give an attempt: 20 s, or their last pause, which is 120 s at most
    // and some more. Who waits then is connected as soon as a member is back. Who pauses between two attempts waits for
    // the rest of that: after a minute 2.5 s at most, but pauses grow with each attempt (1.0, 1.7, 2.5, 4.9, 7.7 s ...,
    // measured with grpc-go 1.79).
    hold: '150s',
    heartbeats: layout.peerHealth,
  });
  // Through itself: with failover, and without another list.
  const client = etcdClient({ endpoints: [`https://127.0.0.1:${String(port)}`], tls, clock });
  return await runBalancer(settings, around, {
    seeds: serversOf((await readKnownMembers(layout.etcdMembers)).clientUrls),
    follow: (balancer, signal) =>
      followEtcdMembers({
        members: (end) => client.memberList(end),
        update(urls) {
          balancer.update(serversOf(urls).map((address) => ({ address })));
          // For its next start, which may be when nobody answers.
          rememberAddresses(layout.etcdMembers, urls).catch((error: unknown) =>
            log(`cannot keep the members of etcd: ${String(error)}`),
          );
        },
        clock,
        random: Math.random,
        log,
        signal,
      }),
  });
}

const serversOf = (urls: readonly string[]): readonly string[] =>
  urls.flatMap((url) => {
    const server = serverOfUrl(url);
    return server.ok ? [server.value] : [];
  });
