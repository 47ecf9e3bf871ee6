/**
 * The settings of one cluster member: K3s's flags where they mean the same, the ports of every
 * component, and where things lie. Everything that the unit files, certificates and configuration
 * files of this room say is derived from here, so two control planes on one machine differ only by
 * data directory and ports, two nodes also by network namespace and `cgroupRoot`.
 *
 * Not here: reading flags, environment and configuration files (app/, cli/).
 */
import * as z from 'zod';
import { StartupError } from '../error/startup-error.ts';
import { parseCron } from '../kernel/cron.ts';
import { Secret } from '../kernel/secret.ts';
import { snapshotNamePattern } from './etcd/snapshot-name.ts';
import { parseDurationMs } from '../kernel/duration.ts';
import { messageOf } from '../kernel/message-of.ts';
import { addressAt, contains, overlaps, parseAddress, parseNetwork, type Network } from './ipv4.ts';
import { isAddressOf, joinPort as defaultJoinPort, parseJoinUrls, type JoinUrl } from './join/server-url.ts';
import { partMistakes, serverBefore, type ControlPlaneParts } from './control-plane-parts.ts';
import { layoutOf } from './layout.ts';
import { detectMachine, directoryOf, type Machine } from './machine.ts';

const address = z.string().refine((text) => parseAddress(text) !== undefined, 'an IPv4 address like 192.0.2.10');
const network = z
  .string()
  .refine(
    (text) => parseNetwork(text) !== undefined,
    'an IPv4 network like 10.42.0.0/16, with no bits behind the prefix',
  );
const port = z.coerce.number('a port number').int('a port number').min(1, 'a port number').max(65535, 'a port number');
/** RFC 1123 subdomain: what Kubernetes takes as a node name. */
const dnsName = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const nodeName = z
  .string()
  .max(63, 'at most 63 characters')
  .regex(dnsName, 'lower-case letters, digits, dashes and dots');
const folder = z.string().startsWith('/', 'an absolute path');
const schedule = z.string().superRefine((text, context) => {
  try {
    parseCron(text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: messageOf(error) });
  }
});

/** The first pause between two tries of servers that cannot be reached, in units/agent/join.yaml. */
const shortestRetryMs = 500;
const atLeast = (leastMs: number, text: string) =>
  z
    .string()
    .refine(
      (given) => (parseDurationMs(given) ?? 0) >= leastMs,
      `a duration of at least ${text}, like 750ms, 10s or 1m30s`,
    )
    .transform((given) => parseDurationMs(given) ?? leastMs);

/** Ports and their defaults. Source: Kubernetes "Ports and Protocols"; etcd's own; CoreDNS beside a resolver on :53; RKE2's for joining; K3s's for the balancer. */
export const portDefaults = {
  httpsListenPort: 6443,
  etcdClientPort: 2379,
  etcdPeerPort: 2380,
  etcdMetricsPort: 2381,
  controllerManagerPort: 10257,
  schedulerPort: 10259,
  kubeletPort: 10250,
  kubeletHealthPort: 10248,
  kubeProxyHealthPort: 10256,
  kubeProxyMetricsPort: 10249,
  dnsPort: 5353,
  dnsReadyPort: 8181,
  joinPort: defaultJoinPort,
  peerPort: 9346,
  lbServerPort: 6444,
} as const;
export type PortName = keyof typeof portDefaults;
const portNames = Object.keys(portDefaults) as PortName[];

const ports = Object.fromEntries(portNames.map((name) => [name, port.optional()])) as Record<
  PortName,
  z.ZodOptional<typeof port>
>;

/** What a person may set; everything has a default. Unknown keys are the caller's to report. */
export const settingsSchema = z.object({
  nodeName: nodeName.optional(),
  nodeIp: address.optional(),
  clusterCidr: network.default('10.42.0.0/16'),
  serviceCidr: network.default('10.43.0.0/16'),
  clusterDns: address.optional(),
  clusterDomain: z.string().regex(dnsName, 'a domain like cluster.local').default('cluster.local'),
  /** The part of `clusterCidr` that the pods of this node get. */
  podCidr: network.optional(),
  tlsSan: z.array(z.string().min(1)).default([]),
  writeKubeconfig: folder.optional(),
  /** kubelet's cgroup root: one for each node on a machine. */
  cgroupRoot: folder.default('/'),
  /** nftables: one table of its own, removed in one step. iptables: for kernels before 5.13. */
  proxyMode: z.enum(['nftables', 'iptables']).default('nftables'),
  role: z.enum(['server', 'agent'], 'server or agent').default('server'),
  clusterInit: z.boolean().default(false),
  server: z.array(z.string()).default([]),
  disableEtcd: z.boolean().default(false),
  disableApiserver: z.boolean().default(false),
  disableControllerManager: z.boolean().default(false),
  disableScheduler: z.boolean().default(false),
  token: z.string().optional(),
  tokenFile: folder.optional(),
  /** Absent: no snapshots of etcd but those on demand. */
  etcdSnapshotScheduleCron: schedule.optional(),
  /** Source: K3s's default. */
  etcdSnapshotRetention: z.coerce.number('a number').int('a whole number').min(1, 'at least 1').default(5),
  etcdSnapshotName: z
    .string()
    .regex(snapshotNamePattern, 'a file name of letters, digits, dots and dashes')
    .default('etcd-snapshot'),
  etcdSnapshotDir: folder.optional(),
  nodeConnectionRetry: atLeast(shortestRetryMs, '500ms').default(5_000),
  etcdRequestTimeout: atLeast(1, '1ms').optional(),
  ...ports,
});
export type SettingsInput = z.input<typeof settingsSchema>;

export interface Settings extends Readonly<Record<PortName, number>>, ControlPlaneParts {
  readonly dataDir: string;
  /** Sockets and run-time state. Short, because a unix socket's path holds 107 bytes. */
  readonly runDir: string;
  /** Directories searched for programs, in order. */
  readonly searchPath: readonly string[];
  readonly cniBinDir: string;
  /** undefined when there is no pause program: then the node cannot run pods, the control plane does. */
  readonly pauseProgram: string | undefined;
  readonly nodeName: string;
  readonly nodeIp: string;
  readonly clusterCidr: string;
  readonly serviceCidr: string;
  readonly podCidr: string;
  readonly clusterDns: string;
  readonly clusterDomain: string;
  readonly tlsSan: readonly string[];
  readonly writeKubeconfig: string;
  readonly cgroupRoot: string;
  readonly proxyMode: 'nftables' | 'iptables';
  /** Where the cluster may be joined; this machine itself is not among them. */
  readonly servers: readonly JoinUrl[];
  readonly token: Secret | undefined;
  readonly tokenFile: string | undefined;
  readonly etcdSnapshotScheduleCron: string | undefined;
  readonly etcdSnapshotRetention: number;
  readonly etcdSnapshotName: string;
  readonly etcdSnapshotDir: string;
  /** Longest pause between two rounds over servers that cannot be reached. */
  readonly nodeConnectionRetryMs: number;
  /** For one request of ours to a member of etcd; absent: by what is asked for. */
  readonly etcdRequestMs: number | undefined;
  readonly canLowerOomScore: boolean;
  /** Hard limit of open files. */
  readonly openFilesLimit: number;
  /** Names given by --disable: units and groups, and manifests. */
  readonly disabled: readonly string[];
}

export interface SettingsPlace {
  readonly dataDir: string;
  readonly runDir: string;
  /** Directories searched for programs, in order: --bin-dir, <data-dir>/bin, PATH. */
  readonly searchPath: readonly string[];
  /** Kubeconfig written when the flag is not given. */
  readonly defaultKubeconfig?: string;
  readonly disabled?: readonly string[];
  readonly machine?: Machine;
}

/**
 * Fills in what was not set from this machine.
 *
 * @throws StartupError ERR_CONFIG that lists every mistake, by flag
 */
export function resolveSettings(input: SettingsInput, place: SettingsPlace): Settings {
  const parsed = settingsSchema.safeParse(input);
  if (!parsed.success) {
    throw configError(
      parsed.error.issues.map(({ path, message }) => {
        const key = String(path[0] ?? '');
        const value: unknown = (input as Record<string, unknown>)[key];
        return `${flagOf(key)} is ${key === 'token' ? '(secret)' : JSON.stringify(value)}, but must be ${message}`;
      }),
    );
  }
  const given = parsed.data;
  const machine = place.machine ?? detectMachine();
  const services = parseNetwork(given.serviceCidr) as Network;
  const pods = parseNetwork(given.clusterCidr) as Network;
  const servers = parseJoinUrls(given.server);
  const isAgent = given.role === 'agent';
  const before = serverBefore(place.dataDir);
  const isJoining = !isAgent && (servers.length > 0 || before === 'further');
  const nodeIp = given.nodeIp ?? defaultNodeIp(machine);
  const own = new Set([nodeIp, ...machine.addresses.map(({ address }) => address), 'localhost', machine.hostname]);
  const settings: Settings = {
    ...(Object.fromEntries(portNames.map((name) => [name, given[name] ?? portDefaults[name]])) as Record<
      PortName,
      number
    >),
    dataDir: place.dataDir,
    runDir: place.runDir,
    searchPath: place.searchPath,
    cniBinDir: directoryOf('bridge', [...place.searchPath, '/opt/cni/bin', '/usr/lib/cni']) ?? '/opt/cni/bin',
    pauseProgram: withProgram('pause', place.searchPath),
    nodeName: given.nodeName ?? defaultNodeName(machine.hostname),
    nodeIp,
    clusterCidr: given.clusterCidr,
    serviceCidr: given.serviceCidr,
    podCidr: given.podCidr ?? `${given.clusterCidr.split('/')[0] ?? ''}/${String(Math.max(24, pods.prefix))}`,
    // K3s's habit: the tenth address of the services. Source: K3s flag --cluster-dns.
    clusterDns: given.clusterDns ?? addressAt(services, 10) ?? '',
    clusterDomain: given.clusterDomain,
    tlsSan: given.tlsSan,
    writeKubeconfig: given.writeKubeconfig ?? place.defaultKubeconfig ?? `${place.dataDir}/k3s-lite.yaml`,
    cgroupRoot: given.cgroupRoot,
    proxyMode: given.proxyMode,
    role: isAgent ? 'agent' : given.clusterInit || isJoining || before !== undefined ? 'server' : 'single',
    isJoining,
    hasJoined: before === 'further',
    hasEtcd: !given.disableEtcd,
    hasApiServer: !given.disableApiserver,
    hasControllerManager: !given.disableControllerManager,
    hasScheduler: !given.disableScheduler,
    // The same list may be given to every server: each leaves itself out.
    servers: isJoining ? servers.filter((url) => !isAddressOf(url, own, given.joinPort ?? defaultJoinPort)) : servers,
    token: given.token === undefined ? undefined : new Secret(given.token),
    tokenFile: given.tokenFile,
    etcdSnapshotScheduleCron: given.etcdSnapshotScheduleCron,
    etcdSnapshotRetention: given.etcdSnapshotRetention,
    etcdSnapshotName: given.etcdSnapshotName,
    etcdSnapshotDir: given.etcdSnapshotDir ?? layoutOf(place).etcdSnapshots,
    nodeConnectionRetryMs: given.nodeConnectionRetry,
    etcdRequestMs: given.etcdRequestTimeout,
    canLowerOomScore: machine.canLowerOomScore,
    openFilesLimit: machine.openFilesLimit,
    disabled: place.disabled ?? [],
  };
  const mistakes = contradictionsOf(settings);
  if (mistakes.length > 0) throw configError(mistakes);
  return settings;
}

function contradictionsOf(settings: Settings): string[] {
  const mistakes: string[] = [];
  const pods = parseNetwork(settings.clusterCidr) as Network;
  const services = parseNetwork(settings.serviceCidr) as Network;
  const nodeIp = parseAddress(settings.nodeIp) ?? 0;
  const dns = parseAddress(settings.clusterDns);
  if (overlaps(pods, services)) {
    mistakes.push(`--cluster-cidr ${settings.clusterCidr} and --service-cidr ${settings.serviceCidr} overlap`);
  }
  if (services.prefix > 28)
    mistakes.push(`--service-cidr ${settings.serviceCidr} is too small: at least a /28 is needed`);
  if (dns === undefined || !contains(services, dns)) {
    mistakes.push(`--cluster-dns ${settings.clusterDns} must lie in --service-cidr ${settings.serviceCidr}`);
  }
  const podNetwork = parseNetwork(settings.podCidr) as Network;
  if (!contains(pods, podNetwork.base) || podNetwork.prefix < pods.prefix) {
    mistakes.push(`--pod-cidr ${settings.podCidr} must lie in --cluster-cidr ${settings.clusterCidr}`);
  }
  for (const [flag, taken] of [
    ['--cluster-cidr', pods],
    ['--service-cidr', services],
  ] as const) {
    if (contains(taken, nodeIp)) mistakes.push(`--node-ip ${settings.nodeIp} must not lie in ${flag}`);
  }
  if (settings.token !== undefined && settings.tokenFile !== undefined) {
    mistakes.push('--token and --token-file exclude each other');
  }
  if (settings.isJoining && !settings.hasJoined && settings.servers.length === 0) {
    mistakes.push(
      '--server names this machine itself and no other; the first server begins the cluster by --cluster-init',
    );
  }
  mistakes.push(...partMistakes(settings));
  const users = new Map<number, PortName>();
  for (const name of portNames) {
    const other = users.get(settings[name]);
    if (other !== undefined) mistakes.push(`${flagOf(name)} and ${flagOf(other)} are both ${String(settings[name])}`);
    users.set(settings[name], name);
  }
  return mistakes;
}

/** Where components of this machine reach kube-apiserver: its own, or the balancer before those of others. */
export const apiServerUrl = ({ hasApiServer, httpsListenPort, lbServerPort }: Settings): string =>
  `https://127.0.0.1:${String(hasApiServer ? httpsListenPort : lbServerPort)}`;

/** First usable address of the services: the `kubernetes` Service. Source: kube-apiserver `--service-cluster-ip-range`. */
export function apiServiceIp(settings: Settings): string {
  return addressAt(parseNetwork(settings.serviceCidr) as Network, 1) ?? '';
}

/** "httpsListenPort" → "--https-listen-port". */
export function flagOf(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** The host's name as a node name: lower case, what is not allowed replaced by dashes. */
export function defaultNodeName(host: string): string {
  const name = host
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, '-')
    .slice(0, 63)
    .replace(/(^[-.]+|[-.]+$)/g, '');
  return dnsName.test(name) ? name : 'node';
}

/** Address of the default route's interface, else the first that is not loopback, else 127.0.0.1. */
export function defaultNodeIp({ addresses, defaultInterface }: Machine): string {
  const outside = addresses.filter(({ internal }) => !internal);
  const onDefaultRoute = outside.find((entry) => entry.interface === defaultInterface);
  return (onDefaultRoute ?? outside[0])?.address ?? '127.0.0.1';
}

function withProgram(name: string, searchPath: readonly string[]): string | undefined {
  const directory = directoryOf(name, searchPath);
  return directory === undefined ? undefined : `${directory}/${name}`;
}

function configError(mistakes: readonly string[]): StartupError {
  return new StartupError('ERR_CONFIG', `cannot use the settings: ${mistakes.join('; ')}`, { mistakes });
}
