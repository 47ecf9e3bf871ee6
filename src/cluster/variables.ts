/** The typed table of `${name}` variables that unit files may use, with one line for the reference page. */
import type { Variable } from '../unit/variables.ts';
import { layoutOf } from './layout.ts';
import { apiServerUrl, type Settings } from './settings.ts';
import { flagOf, portDefaults, type PortName } from './settings-schema.ts';

const portAbout: Record<PortName, string> = {
  httpsListenPort: 'Port of kube-apiserver',
  etcdClientPort: 'Port of etcd for its clients',
  etcdPeerPort: 'Port of etcd for its peers',
  etcdMetricsPort: 'Port of etcd for metrics and health, loopback only',
  controllerManagerPort: 'Port of kube-controller-manager, loopback only',
  schedulerPort: 'Port of kube-scheduler, loopback only',
  kubeletPort: 'Port of the kubelet',
  kubeletHealthPort: 'Port of the kubelet for its health, loopback only',
  kubeProxyHealthPort: 'Port of kube-proxy for its health',
  kubeProxyMetricsPort: 'Port of kube-proxy for metrics, loopback only',
  dnsPort: 'Port of the cluster’s DNS server on the node',
  dnsReadyPort: 'Port of the cluster’s DNS server for its readiness, loopback only',
  joinPort: 'Port at which machines join the cluster',
  peerPort: 'Port at which nodes answer each other’s heartbeats',
  lbServerPort: 'Port at which an agent’s components reach the API servers, loopback only',
};

export function variablesOf(settings: Settings): ReadonlyMap<string, Variable> {
  const layout = layoutOf(settings);
  const table: Record<string, readonly [value: string, about: string]> = {
    dataDir: [settings.dataDir, 'Data directory (--data-dir)'],
    runDir: [settings.runDir, 'Folder of sockets and run-time state'],
    searchPath: [
      settings.searchPath.join(':'),
      'PATH that every unit has: --bin-dir, <data-dir>/bin, then PATH; in a unit file it makes another PATH a changed unit',
    ],
    nodeName: [settings.nodeName, 'Name of this node (--node-name)'],
    nodeIp: [settings.nodeIp, 'Address of this node (--node-ip)'],
    clusterCidr: [settings.clusterCidr, 'Network of all pods (--cluster-cidr)'],
    podCidr: [settings.podCidr, 'Network of the pods of this node (--pod-cidr)'],
    serviceCidr: [settings.serviceCidr, 'Network of services (--service-cidr)'],
    clusterDns: [settings.clusterDns, 'Service address of cluster DNS (--cluster-dns)'],
    clusterDomain: [settings.clusterDomain, 'Domain of the cluster (--cluster-domain)'],
    cgroupRoot: [settings.cgroupRoot, 'Root cgroup of the kubelet (--cgroup-root)'],
    apiServerUrl: [apiServerUrl(settings), 'Where components of this machine reach kube-apiserver'],
    serverTls: [layout.serverTls, 'Keys and certificates of the control plane'],
    agentTls: [layout.agentTls, 'Keys and certificates of this node'],
    serverCred: [layout.serverCred, 'Kubeconfigs of the control plane'],
    agentCred: [layout.agentCred, 'Kubeconfigs of this node'],
    agentEtc: [layout.agentEtc, 'Configuration files of this node’s components'],
    etcdData: [layout.etcdData, 'Data of etcd'],
    etcdEnv: [layout.etcdEnv, 'What etcd is told of its cluster when it first starts'],
    etcdClientUrls: [
      [...new Set(['127.0.0.1', settings.nodeIp])]
        .map((ip) => `https://${ip}:${String(settings.etcdClientPort)}`)
        .join(','),
      'Where etcd listens for clients of this and of other machines',
    ],
    etcdSnapshotSchedule: [settings.etcdSnapshotScheduleCron ?? '', 'When (--etcd-snapshot-schedule-cron)'],
    etcdSnapshotRetention: [String(settings.etcdSnapshotRetention), 'How many (--etcd-snapshot-retention)'],
    etcdSnapshotName: [settings.etcdSnapshotName, 'Name of scheduled snapshots (--etcd-snapshot-name)'],
    etcdSnapshotDir: [settings.etcdSnapshotDir, 'Folder of snapshots of etcd (--etcd-snapshot-dir)'],
    vipPool: [poolsText(settings.vipPool), 'Pools of virtual IPs, with commas between them (--vip-pool)'],
    vipApiserver: [settings.vipApiserver ?? '', 'Address that the API servers share (--vip-apiserver)'],
    vipDefaultClass: [String(settings.vipDefaultClass), 'Whether Services without a class get virtual IPs too'],
    vipState: [layout.vipState, 'What the process of virtual IPs keeps over its restarts'],
    nodeConnectionRetry: [
      `${String(settings.nodeConnectionRetryMs)}ms`,
      'Longest pause between two tries of servers that cannot be reached (--node-connection-retry)',
    ],
    imagesDir: [layout.images, 'Archives of images that are imported at start'],
    kubeletRoot: [layout.kubeletRoot, 'State of the kubelet'],
    disabled: [settings.disabled.join(','), 'Names given by --disable, with commas between them'],
    containerdSocket: [layout.containerdSocket, 'Socket of containerd'],
    etcdSocket: [layout.etcdSocket, 'Socket of etcd for the API server of the same machine'],
  };
  for (const name of Object.keys(portDefaults) as PortName[]) {
    table[name] = [String(settings[name]), `${portAbout[name]} (${flagOf(name)})`];
  }
  return new Map(Object.entries(table).map(([name, [value, about]]) => [name, { value, about }]));
}

/** Those without a name come first: behind "lan=10.1.2.0/28," a range would be one more of `lan`. */
function poolsText(pools: readonly string[]): string {
  const isNamed = (pool: string) => pool.includes('=');
  return [...pools.filter((pool) => !isNamed(pool)), ...pools.filter(isNamed)].join(',');
}
