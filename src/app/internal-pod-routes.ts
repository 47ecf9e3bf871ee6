/** Constructs the keeper of routes to other nodes' pods: what `k3s-lite internal pod-routes` runs, as a process of its own. */
import { readKubeconfig } from '../cluster/kubeconfigs.ts';
import { kubeClient } from '../cluster/kube-client.ts';
import { layoutOf } from '../cluster/layout.ts';
import { readJoinedIfThere } from '../cluster/join/joined.ts';
import { keepRoutes } from '../cluster/pod-routes/kernel-routes.ts';
import { servePodRoutes } from '../cluster/pod-routes/serve-pod-routes.ts';
import { systemClock } from '../kernel/clock.ts';
import { notifySender } from '../probe/notify-sender.ts';
import { runProgram } from '../process/run-program.ts';

export interface InternalPodRoutesOptions {
  readonly dataDir: string;
  /** Says where the API is, and has credentials that may read all nodes. */
  readonly kubeconfig: string;
  readonly nodeName: string;
  /** Of this machine's settings; an agent's are those that the cluster has told it. */
  readonly clusterCidr: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

/** @throws the reason of `signal` when that aborts */
export async function internalPodRoutes(options: InternalPodRoutesOptions): Promise<never> {
  const { dataDir, kubeconfig, nodeName, clusterCidr, env, log, signal } = options;
  const { joined, podRoutesBatch } = layoutOf({ dataDir, runDir: '' });
  using sender = notifySender(env['NOTIFY_SOCKET']);
  return await servePodRoutes({
    nodeName,
    // Read at each connection: it may have been renewed meanwhile.
    connect: async () => kubeClient(await readKubeconfig(kubeconfig), systemClock),
    clusterCidr: async () => (await readJoinedIfThere(joined))?.settings.clusterCidr ?? clusterCidr,
    keep: (wanted) =>
      keepRoutes(wanted, { batchFile: podRoutesBatch, run: (argv) => runProgram({ argv, env, signal }) }),
    clock: systemClock,
    log,
    notify: (...lines) => sender.send(...lines),
    signal,
  });
}
