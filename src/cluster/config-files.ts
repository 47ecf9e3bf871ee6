/**
 * Configuration files of the node's components, rendered from the settings. Pure, except for the
 * builtin at the end, which writes what has changed.
 *
 * Everything lies under the data and run directories: nothing of two k3s-lites on one machine meets.
 */
import { readFile } from 'node:fs/promises';
import type { Builtin } from '../unit/builtin.ts';
import { layoutOf } from './layout.ts';
import { rememberTables, tablesFile } from './nft-tables.ts';
import { setMasquerade } from './pod-routes/masquerade.ts';
import { nameserversOf } from './resolvers.ts';
import type { Settings } from './settings.ts';
import { writeIfChanged } from '../kernel/stored-file.ts';

/** The sandbox image, packed from the pause program by `images`. */
export const pauseImage = 'k3s-lite.local/pause:1';

const toml = (text: string): string => JSON.stringify(text);

/** Source: containerd 2 `config default` (version 3); each line differs from it for the reason given. */
export function containerdConfig(settings: Settings): string {
  const layout = layoutOf(settings);
  return `version = 3
root = ${toml(layout.containerdRoot)}
state = ${toml(layout.containerdState)}
imports = []
# opt makes /opt/containerd; nri listens on one socket for the whole machine: neither is used here.
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]

[grpc]
  address = ${toml(layout.containerdSocket)}

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = ${toml(pauseImage)}

[plugins."io.containerd.cri.v1.runtime"]
  # Without CAP_SYS_RESOURCE every sandbox would fail with "can't get final child's PID from pipe: EOF".
  restrict_oom_score_adj = ${String(!settings.canLowerOomScore)}
  # Network namespaces under our own state instead of the machine's /run/netns.
  netns_mounts_under_state_dir = true

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
    Root = ${toml(`${settings.runDir}/runc`)}
    SystemdCgroup = false

[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = [${toml(settings.cniBinDir)}]
  conf_dir = ${toml(layout.cniConf)}
`;
}

/** Source: kubelet.config.k8s.io/v1beta1. */
export function kubeletConfig(settings: Settings): string {
  const { agentTls, agentEtc, containerdSocket, kubeletRoot } = layoutOf(settings);
  return json({
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: `${agentTls}/client-ca.crt` },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: `${agentTls}/serving-kubelet.crt`,
    tlsPrivateKeyFile: `${agentTls}/serving-kubelet.key`,
    port: settings.kubeletPort,
    healthzPort: settings.kubeletHealthPort,
    healthzBindAddress: '127.0.0.1',
    containerRuntimeEndpoint: `unix://${containerdSocket}`,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: settings.cgroupRoot,
    failCgroupV1: false, // 1.35 and later refuse a cgroup v1 host otherwise
    failSwapOn: false,
    clusterDNS: [settings.clusterDns],
    clusterDomain: settings.clusterDomain,
    resolvConf: `${agentEtc}/resolv.conf`,
    // Its iptables chains would stay behind; kube-proxy makes what services need.
    makeIPTablesUtilChains: false,
    volumePluginDir: `${kubeletRoot}/volume-plugins`,
    podLogsDir: `${settings.dataDir}/agent/pod-logs`,
    // As K3s does: a nearly full developer's disk must not evict everything at once.
    evictionHard: { 'imagefs.available': '5%', 'nodefs.available': '5%' },
    evictionMinimumReclaim: { 'imagefs.available': '10%', 'nodefs.available': '10%' },
    maxOpenFiles: Math.min(1_000_000, settings.openFilesLimit),
    ...(settings.canLowerOomScore ? {} : { oomScoreAdj: 0 }),
  });
}

/** Source: kubeproxy.config.k8s.io/v1alpha1. */
export function kubeProxyConfig(settings: Settings): string {
  return json({
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    clientConnection: { kubeconfig: `${layoutOf(settings).agentCred}/kube-proxy.kubeconfig` },
    hostnameOverride: settings.nodeName,
    clusterCIDR: settings.clusterCidr,
    mode: settings.proxyMode,
    healthzBindAddress: `127.0.0.1:${String(settings.kubeProxyHealthPort)}`,
    metricsBindAddress: `127.0.0.1:${String(settings.kubeProxyMetricsPort)}`,
    // nf_conntrack_max is read-only in a network namespace; 0 leaves all of them as they are.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
    // NodePorts on 127.0.0.1 would need route_localnet=1 on the whole machine.
    iptables: { localhostNodePorts: false },
    ...(settings.canLowerOomScore ? {} : { oomScoreAdj: 0 }),
  });
}

/** One bridge per node. Rules go the way kube-proxy's go, so that a machine sees one kind of firewall. */
export function cniConfig(settings: Settings): string {
  const { cniState } = layoutOf(settings);
  return json({
    cniVersion: '1.0.0',
    name: 'k3s-lite',
    plugins: [
      {
        type: 'bridge',
        bridge: 'cni0',
        isDefaultGateway: true,
        forceAddress: true,
        hairpinMode: true,
        // Beside other nodes that is for a rule of ours to do, which spares their pods.
        ipMasq: settings.role === 'single',
        ...(settings.role === 'single' ? { ipMasqBackend: settings.proxyMode } : {}),
        ipam: { type: 'host-local', dataDir: cniState, ranges: [[{ subnet: settings.podCidr }]] },
      },
      { type: 'portmap', backend: settings.proxyMode, capabilities: { portMappings: true } },
    ],
  });
}

/**
 * The machine's resolvers as pods can use them. One on the machine's own loopback is none of theirs;
 * where there are only such, pods ask cluster DNS, which runs on the node and asks them.
 */
export function podResolvConf(settings: Settings, hostText: string): string {
  const kept = hostText
    .split('\n')
    .filter((line) => /^\s*(nameserver|search|options)\s/.test(line))
    .filter((line) => !/^\s*nameserver\s+(127\.|::1)/.test(line))
    .map((line) => `${line.trim()}\n`)
    .join('');
  const { usable, loopback } = nameserversOf(hostText);
  return usable.length === 0 && loopback.length > 0 ? `${kept}nameserver ${settings.clusterDns}\n` : kept;
}

export function corefile(settings: Settings, hostText: string): string {
  const { agentCred, agentEtc } = layoutOf(settings);
  const { usable, loopback } = nameserversOf(hostText);
  const upstream = usable.length > 0 ? `${agentEtc}/resolv.conf` : loopback.join(' ');
  const forward = upstream === '' ? '' : `    forward . ${upstream}\n`;
  return `.:${String(settings.dnsPort)} {
    bind 127.0.0.1${settings.nodeIp === '127.0.0.1' ? '' : ` ${settings.nodeIp}`}
    errors
    ready 127.0.0.1:${String(settings.dnsReadyPort)}
    kubernetes ${settings.clusterDomain} in-addr.arpa ip6.arpa {
        kubeconfig ${agentCred}/coredns.kubeconfig default
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
${forward}    cache 30
    loadbalance
}
`;
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** @returns the files that were written */
export async function ensureConfigFiles(settings: Settings): Promise<readonly string[]> {
  const { agentEtc } = layoutOf(settings);
  const hostText = await readFile('/etc/resolv.conf', 'utf8').catch(() => '');
  const files: readonly (readonly [file: string, text: string])[] = [
    [`${agentEtc}/containerd.toml`, containerdConfig(settings)],
    [`${agentEtc}/kubelet.json`, kubeletConfig(settings)],
    [`${agentEtc}/kube-proxy.json`, kubeProxyConfig(settings)],
    [`${agentEtc}/resolv.conf`, podResolvConf(settings, hostText)],
    [`${agentEtc}/Corefile`, corefile(settings, hostText)],
  ];
  const written: string[] = [];
  for (const [file, text] of files) if (await writeIfChanged(file, text)) written.push(file);
  return written;
}

export function configFilesBuiltins(settings: Settings): Record<'config-files' | 'cni', Builtin> {
  return {
    'config-files': async ({ log }) => {
      for (const file of await ensureConfigFiles(settings)) log(`wrote ${file}`);
    },
    cni: async ({ log, run }) => {
      await rememberTables(run, tablesFile(settings));
      if (settings.role !== 'single') await setMasquerade(run, settings);
      const file = `${layoutOf(settings).cniConf}/10-k3s-lite.conflist`;
      if (await writeIfChanged(file, cniConfig(settings))) log(`wrote ${file}`);
    },
  };
}
