/** Constructs the heartbeats with other nodes: what `k3s-lite internal peers` runs, as a process of its own. */
import { readKubeconfig } from '../cluster/kubeconfigs.ts';
import { kubeClient } from '../cluster/kube-client.ts';
import { layoutOf } from '../cluster/layout.ts';
import { servePeers } from '../cluster/peers/serve-peers.ts';
import { systemClock } from '../kernel/clock.ts';
import { notifySender } from '../probe/notify-sender.ts';
import { systemProc } from '../process/proc-reader.ts';
import { ownPaths } from './paths.ts';

export interface InternalPeersOptions {
  readonly dataDir: string;
  /** Says where the API is, and has credentials that may read all nodes. */
  readonly kubeconfig: string;
  readonly nodeName: string;
  readonly nodeIp: string;
  readonly port: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

/** @throws the reason of `signal` when that aborts */
export async function internalPeers(options: InternalPeersOptions): Promise<never> {
  const { dataDir, kubeconfig, nodeName, nodeIp, port, env, log, signal } = options;
  const { agentTls, peers, peerHealth, etcdMembers } = layoutOf(ownPaths({ dataDir, env }));
  using sender = notifySender(env['NOTIFY_SOCKET']);
  return await servePeers({
    nodeName,
    nodeIp,
    host: '0.0.0.0',
    port,
    tls: agentTls,
    peersFile: peers,
    membersFile: etcdMembers,
    healthFile: peerHealth,
    bootId: systemProc.bootId(),
    // Read at each connection: it may have been renewed meanwhile.
    connect: async () => kubeClient(await readKubeconfig(kubeconfig), systemClock),
    clock: systemClock,
    log,
    notify: (...lines) => sender.send(...lines),
    signal,
  });
}
