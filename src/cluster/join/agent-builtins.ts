/**
 * The builtins of an agent: those of its own, and those of the shipped units that do the same as on
 * a server by other means: with the kubelet's credentials instead of the administrator's, at the
 * API's address elsewhere, with the settings that the cluster has.
 */
import { systemProc } from '../../process/proc-reader.ts';
import type { Builtin } from '../../unit/builtin.ts';
import type { ClusterPorts } from '../builtins.ts';
import type { Connect } from '../api-objects.ts';
import { configFilesBuiltins } from '../config-files.ts';
import { kubeClient, readCredentials } from '../kube-client.ts';
import { agentKubeconfigPlan, writeKubeconfigs } from '../kubeconfigs.ts';
import { layoutOf } from '../layout.ts';
import { nodeObjectBuiltin } from '../node-object.ts';
import { nodeReadyBuiltin } from '../node-ready.ts';
import { heartbeatsNow } from '../peers/follow-peer-health.ts';
import { podCidrOf } from '../pod-network.ts';
import { hasVips, type Settings } from '../settings.ts';
import { clusterFinder } from './cluster-finder.ts';
import { ensureNodePassword, readRequiredToken } from './cluster-token.ts';
import { joinBuiltin } from './join-builtin.ts';
import { joinClient } from './join-client.ts';
import { readJoined } from './joined.ts';
import { ensureNodeCertificates, nodeIdentity } from './node-certificates.ts';

export function agentBuiltins(settings: Settings, { clock, notice }: ClusterPorts): Record<string, Builtin> {
  const { nodeName, nodeIp } = settings;
  const layout = layoutOf(settings);
  const finder = clusterFinder({
    urls: settings.servers,
    file: layout.knownServers,
    token: () => readRequiredToken(settings, 'node'),
    clock,
    random: Math.random,
    // From the service of before, when this one starts after a crash of ours.
    heartbeats: () => heartbeatsNow({ file: layout.peerHealth, bootId: systemProc.bootId(), clock }),
    log: (line) => notice(line, 'join'),
  });
  const identity = () => nodeIdentity(layout.agentTls, nodeName);
  const connect: Connect = async () => {
    const { apiServer } = await readJoined(layout.joined);
    return kubeClient(await readCredentials(apiServer, layout.agentTls, 'client-kubelet'), clock);
  };
  /** A builtin of the shipped units, made when it runs: what the cluster's settings are is known then. */
  const ofCluster =
    (make: (settings: Settings, signal: AbortSignal) => Promise<Builtin>): Builtin =>
    async (context) => {
      const { settings: shared } = await readJoined(layout.joined);
      const run = await make({ ...settings, ...shared }, context.signal);
      await run(context);
    };
  return {
    join: joinBuiltin({
      layout,
      apiServer: `https://127.0.0.1:${String(settings.lbServerPort)}`,
      finder,
      identity,
      clock,
      notice: (text) => notice(text, 'join'),
    }),
    'node-certificates': async ({ signal, log }) => {
      const fetched = await ensureNodeCertificates({
        folder: layout.agentTls,
        node: { name: nodeName, password: await ensureNodePassword(layout.nodePassword) },
        ips: [nodeIp],
        nowMs: clock.wallMs(),
        hasVip: hasVips(settings),
        rotationFile: layout.rotation,
        connect: async () => joinClient({ ...(await finder.find(signal)), identity: identity(), clock, signal }),
      });
      for (const line of fetched) log(`fetched ${line}`);
      if (fetched.length === 0) log('all certificates are good');
    },
    kubeconfigs: async ({ log }) => {
      const { apiServer } = await readJoined(layout.joined);
      const written = await writeKubeconfigs(agentKubeconfigPlan(settings), apiServer, layout.agentTls);
      for (const file of written) log(`wrote ${file}`);
    },
    'config-files': ofCluster((shared) => Promise.resolve(configFilesBuiltins(shared)['config-files'])),
    cni: ofCluster(async (shared, signal) => {
      using client = await connect();
      return configFilesBuiltins({ ...shared, podCidr: await podCidrOf(client, nodeName, signal) }).cni;
    }),
    'node-object': nodeObjectBuiltin(nodeName, { clock, connect }),
    'node-ready': nodeReadyBuiltin(nodeName, { clock, connect, leaseBy: 'get' }),
  };
}
