/**
 * Every flag of `up`, once: the command line, the configuration file (each flag is a key), the
 * environment (`K3S_LITE_<NAME>`) and the help are all made from this table. Names are K3s's where
 * they mean the same.
 */
import type { FlagValues } from './flag-values.ts';

export interface Flag {
  /** Long name without dashes; the key in config.yaml. */
  readonly name: string;
  /** What stands for the value in the help; absent for a switch. */
  readonly value?: string;
  /** May be given several times; in config.yaml a list. */
  readonly list?: boolean;
  readonly about: string;
  /** Other environment variables that are read too. Source: K3s. */
  readonly env?: readonly string[];
  /** Belongs to the cluster's settings (cluster/settings.ts) rather than to `up` itself. */
  readonly isSetting?: boolean;
  /** Written nowhere, and kept from the environment of units. */
  readonly isSecret?: boolean;
}

/** Units whose command line can be added to with `--<name>-arg key=value`, by flag. Source: K3s, the same names. */
export const argFlags: Readonly<Record<string, string>> = {
  'kube-apiserver-arg': 'kube-apiserver',
  'kube-controller-manager-arg': 'kube-controller-manager',
  'kube-scheduler-arg': 'kube-scheduler',
  'kubelet-arg': 'kubelet',
  'kube-proxy-arg': 'kube-proxy',
  'etcd-arg': 'etcd',
};

/** Flags that every command understands that looks at one k3s-lite. */
export const placeFlags: readonly Flag[] = [
  { name: 'data-dir', value: 'dir', about: 'Folder for all state (default /var/lib/k3s-lite, or below XDG_DATA_HOME)' },
  {
    name: 'config',
    value: 'file',
    about: 'Configuration file (default /etc/k3s-lite/config.yaml); drop-ins in <file>.d/',
  },
];

export const graphFlags: readonly Flag[] = [
  ...placeFlags,
  {
    name: 'units',
    value: 'dir',
    list: true,
    about: 'Folder of unit files instead of the shipped ones; several are merged',
  },
  { name: 'disable', value: 'name', list: true, about: 'Leave out a unit or a group of units' },
  { name: 'disable-agent', about: 'Control plane only: no containerd, kubelet or kube-proxy; needs no root' },
  {
    name: 'container',
    value: 'mode',
    about: 'Prepare the container that this is the entrypoint of: auto (default), on or off',
  },
  {
    name: 'role',
    value: 'role',
    isSetting: true,
    about: 'What this machine is of a cluster: server (default), or agent as with `k3s-lite agent`',
  },
  {
    name: 'cluster-init',
    isSetting: true,
    about: 'Begin a cluster that other machines can join, as agents or as further servers',
  },
  {
    name: 'server',
    value: 'url',
    list: true,
    isSetting: true,
    env: ['K3S_URL'],
    about: 'Server of the cluster to join, like https://server-1:9345; several, with commas too, are all tried',
  },
  {
    name: 'node-connection-retry',
    value: 'duration',
    isSetting: true,
    about: 'Longest pause between two tries of servers that cannot be reached; it is never given up (default 5s)',
  },
  {
    name: 'etcd-request-timeout',
    value: 'duration',
    isSetting: true,
    about:
      'Limit of one request of this machine to a member of etcd when it joins or counts members (default 5s to read, 20s to change)',
  },
  {
    name: 'disable-etcd',
    isSetting: true,
    about: 'A server without etcd: it uses that of the other servers',
  },
  {
    name: 'disable-apiserver',
    isSetting: true,
    about: 'A server without the API; with --disable-controller-manager and --disable-scheduler one with etcd alone',
  },
  { name: 'disable-controller-manager', isSetting: true, about: 'A server without the controllers of Kubernetes' },
  { name: 'disable-scheduler', isSetting: true, about: 'A server without the scheduler' },
  {
    name: 'token',
    value: 'token',
    isSetting: true,
    isSecret: true,
    env: ['K3S_TOKEN'],
    about: 'Token of the cluster; other users can see it here, unlike in --token-file and K3S_TOKEN',
  },
  { name: 'token-file', value: 'file', isSetting: true, env: ['K3S_TOKEN_FILE'], about: 'File that holds the token' },
  { name: 'bin-dir', value: 'dir', about: 'Folder searched first for the components' },
  {
    name: 'node-name',
    value: 'name',
    isSetting: true,
    env: ['K3S_NODE_NAME'],
    about: 'Name of this node (default: the host name)',
  },
  { name: 'node-ip', value: 'ip', isSetting: true, about: 'Address of this node (default: of the default route)' },
  { name: 'cluster-cidr', value: 'cidr', isSetting: true, about: 'Network of pods (default 10.42.0.0/16)' },
  { name: 'service-cidr', value: 'cidr', isSetting: true, about: 'Network of services (default 10.43.0.0/16)' },
  {
    name: 'cluster-dns',
    value: 'ip',
    isSetting: true,
    about: 'Address of cluster DNS (default: the tenth of --service-cidr)',
  },
  { name: 'cluster-domain', value: 'domain', isSetting: true, about: 'Domain of the cluster (default cluster.local)' },
  {
    name: 'pod-cidr',
    value: 'cidr',
    isSetting: true,
    about: 'Network of the pods of this node, inside --cluster-cidr',
  },
  {
    name: 'tls-san',
    value: 'name',
    list: true,
    isSetting: true,
    about: 'Further name or address in the API server’s certificate',
  },
  { name: 'https-listen-port', value: 'port', isSetting: true, about: 'Port of the API server (default 6443)' },
  { name: 'write-kubeconfig', value: 'file', isSetting: true, about: 'Where to write the administrator’s kubeconfig' },
  { name: 'cgroup-root', value: 'path', isSetting: true, about: 'Root cgroup of the kubelet’s pods (default /)' },
  { name: 'proxy-mode', value: 'mode', isSetting: true, about: 'kube-proxy’s mode: nftables (default) or iptables' },
  {
    name: 'etcd-snapshot-schedule-cron',
    value: 'cron',
    isSetting: true,
    about: 'Save snapshots of etcd by this schedule, like "0 */12 * * *" (default: only on demand)',
  },
  {
    name: 'etcd-snapshot-retention',
    value: 'count',
    isSetting: true,
    about: 'How many scheduled snapshots are kept (default 5)',
  },
  {
    name: 'etcd-snapshot-name',
    value: 'name',
    isSetting: true,
    about: 'Begins the names of scheduled snapshots (default etcd-snapshot)',
  },
  {
    name: 'etcd-snapshot-dir',
    value: 'dir',
    isSetting: true,
    about: 'Folder of snapshots (default <data-dir>/server/db/snapshots)',
  },
  {
    name: 'vip-pool',
    value: 'pool',
    list: true,
    isSetting: true,
    about:
      'Addresses for Services of type LoadBalancer, like 192.0.2.0/28 or lan=192.0.2.0/28,192.0.2.20-192.0.2.29; the same on every node (default: none)',
  },
  {
    name: 'vip-apiserver',
    value: 'address',
    isSetting: true,
    about:
      'Address at which clients, agents and further servers reach whichever API server is well; the same on every server (default: none)',
  },
  {
    name: 'vip-interface',
    value: 'name',
    isSetting: true,
    about: 'Interface that gets virtual IPs (default: the one whose network has the address)',
  },
  {
    name: 'vip-window',
    value: 'window',
    list: true,
    isSetting: true,
    about:
      'When virtual IPs may be moved though nothing forces it, like "0 2 * * sun 2h Europe/Berlin"; the same on every node (default: at any time)',
  },
  {
    name: 'vip-default-class',
    isSetting: true,
    about: 'Virtual IPs also for Services that name no loadBalancerClass',
  },
  {
    name: 'vip-election',
    value: 'way',
    isSetting: true,
    about:
      'Who decides which node gets a virtual IP: coordinator (one for all, evenly; the default) or per-service (each address is elected by itself); the same on every node',
  },
  {
    name: 'vip-balance',
    value: 'what',
    isSetting: true,
    about:
      'What is shared evenly between nodes with virtual IPs: count (of addresses, by weight; the default) or load (their traffic, measured); the same on every node',
  },
  {
    name: 'vip-lease-duration',
    value: 'duration',
    isSetting: true,
    about: 'How long a node that is silent keeps its virtual IPs (default 5s)',
  },
  {
    name: 'vip-renew-deadline',
    value: 'duration',
    isSetting: true,
    about: 'How long one renewal of a Lease of virtual IPs may be tried (default 3s)',
  },
  {
    name: 'vip-retry-period',
    value: 'duration',
    isSetting: true,
    about: 'From one renewal of a Lease of virtual IPs to the next (default 1s)',
  },
  ...[
    'etcd-client-port',
    'etcd-peer-port',
    'etcd-metrics-port',
    'controller-manager-port',
    'scheduler-port',
    'kubelet-port',
    'kubelet-health-port',
    'kube-proxy-health-port',
    'kube-proxy-metrics-port',
    'dns-port',
    'dns-ready-port',
    'join-port',
    'peer-port',
    'lb-server-port',
  ].map((name): Flag => ({
    name,
    value: 'port',
    isSetting: true,
    about: `Port: ${name.replace(/-port$/, '').replaceAll('-', ' ')}`,
  })),
  ...Object.entries(argFlags).map(([name, unit]): Flag => ({
    name,
    value: 'key=value',
    list: true,
    about: `Further flag for ${unit}; replaces ours of the same name, \`key-\` removes it`,
  })),
];

export const upFlags: readonly Flag[] = [
  ...graphFlags,
  { name: 'wait', about: 'Return 0 when everything is ready (and keep it up), 4 if it is not within --timeout' },
  { name: 'detach', about: 'Return as soon as the control socket answers, and keep running in the background' },
  { name: 'timeout', value: 'duration', about: 'With --wait: how long to wait, like 90s (default 5m)' },
  {
    name: 'exit-with',
    value: 'unit',
    about: 'Stop everything when this unit has ended and is not started again; its exit code is ours',
  },
  { name: 'init', about: 'Reap the orphans of the units, as an init does (always so as PID 1)' },
  {
    name: 'budget',
    value: 'unit=duration',
    list: true,
    about: 'What a unit itself, or total=, may take; with --wait more is exit code 4, else a warning',
  },
  {
    name: 'unit-output',
    value: 'mode',
    about: 'Units’ output on standard output: prefix (default in a container without a terminal) or none',
  },
  { name: 'json', about: 'Print events as JSON lines' },
  {
    name: 'metrics-bind-address',
    value: 'address',
    about: 'Serve /metrics for Prometheus on this address and port too, like 127.0.0.1:9464 (default: nowhere)',
  },
  {
    name: 'cluster-reset',
    about: 'Make the etcd of this machine a cluster of one member, and exit; other servers have to join it anew',
  },
  {
    name: 'cluster-reset-restore-path',
    value: 'snapshot',
    about: 'With --cluster-reset: the snapshot, by its name or path, whose data etcd gets',
  },
  { name: 'cluster-reset-force', about: 'With --cluster-reset: also while other members answer' },
  {
    name: 'dry-run',
    about: 'With --cluster-reset: only say what would be done, and what every other server has to do',
  },
  { name: 'allow-downgrade', about: 'Start on data that a newer Kubernetes or etcd has written' },
];

const secretFlags = upFlags.filter(({ isSecret }) => isSecret === true);

/** What was asked for, as it may be written down. */
export function withoutSecrets(values: FlagValues): FlagValues {
  const names = new Set(secretFlags.map(({ name }) => name));
  return Object.fromEntries(Object.entries(values).filter(([name]) => !names.has(name)));
}

/** The environment for units: what they need no secret of ours for. */
export function unitEnv<T extends Readonly<Record<string, string | undefined>>>(env: T): T {
  const names = new Set(secretFlags.flatMap(({ name, env: other = [] }) => [environmentName(name), ...other]));
  return Object.fromEntries(Object.entries(env).filter(([name]) => !names.has(name))) as T;
}

/** "tls-san" → "K3S_LITE_TLS_SAN". */
export function environmentName(name: string): string {
  return `K3S_LITE_${name.toUpperCase().replaceAll('-', '_')}`;
}

/** "tls-san" → "tlsSan". */
export function camelCase(name: string): string {
  return name.replace(/-([a-z0-9])/g, (_match, letter: string) => letter.toUpperCase());
}
