/**
 * The settings of one cluster member: K3s's flags where they mean the same, the ports of every
 * component, and where things lie. Everything that the unit files, certificates and configuration
 * files of this room say is derived from here, so two control planes on one machine differ only by
 * data directory and ports, two nodes also by network namespace and `cgroupRoot`.
 *
 * Not here: what a person may write (settings-schema), which values exclude each other
 * (settings-mistakes), reading flags, environment and configuration files (app/, cli/).
 */
import { StartupError } from '../error/startup-error.ts';
import { Secret } from '../kernel/secret.ts';
import { addressAt, parseNetwork, type Network } from './ipv4.ts';
import { isAddressOf, joinPort as defaultJoinPort, parseJoinUrls, type JoinUrl } from './join/server-url.ts';
import { serverBefore, type ControlPlaneParts } from './control-plane-parts.ts';
import { layoutOf } from './layout.ts';
import { detectMachine, directoryOf, type Machine } from './machine.ts';
import { contradictionsOf } from './settings-mistakes.ts';
import {
  dnsName,
  flagOf,
  portDefaults,
  portNames,
  settingsSchema,
  type PortName,
  type SettingsInput,
} from './settings-schema.ts';

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
  /** Of Services. */
  readonly vipPool: readonly string[];
  /** The address that the API servers of the cluster share; absent: none, or this machine has no API server. */
  readonly vipApiserver: string | undefined;
  readonly vipInterface: string | undefined;
  /** When virtual IPs may be moved though nothing forces it; empty: at any time. */
  readonly vipWindow: readonly string[];
  /** Services that name no class are served too. */
  readonly vipDefaultClass: boolean;
  /** Absent: by the coordinator. */
  readonly vipElection: 'coordinator' | 'per-service' | undefined;
  readonly vipBalance: 'count' | 'load' | undefined;
  /** Absent: those of the process of virtual IPs. */
  readonly vipLeaseDurationMs: number | undefined;
  readonly vipRenewDeadlineMs: number | undefined;
  readonly vipRetryPeriodMs: number | undefined;
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
  const parsed = settingsSchema().safeParse(input);
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
  const machine = withoutLeft(place.machine ?? detectMachine(), given.vipApiserver);
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
    vipPool: given.vipPool,
    vipApiserver: given.vipApiserver,
    vipInterface: given.vipInterface,
    vipWindow: given.vipWindow,
    vipDefaultClass: given.vipDefaultClass,
    vipElection: given.vipElection,
    vipBalance: given.vipBalance,
    vipLeaseDurationMs: given.vipLeaseDuration,
    vipRenewDeadlineMs: given.vipRenewDeadline,
    vipRetryPeriodMs: given.vipRetryPeriod,
    nodeConnectionRetryMs: given.nodeConnectionRetry,
    etcdRequestMs: given.etcdRequestTimeout,
    canLowerOomScore: machine.canLowerOomScore,
    openFilesLimit: machine.openFilesLimit,
    disabled: place.disabled ?? [],
  };
  const mistakes = contradictionsOf(settings, new Set(machine.addresses.map(({ address }) => address)));
  if (mistakes.length > 0) throw configError(mistakes);
  return settings;
}

/** Without the shared address of the API servers, where an earlier process of ours has left it: as a network of one. */
function withoutLeft(machine: Machine, vipApiserver: string | undefined): Machine {
  const isLeft = ({ address, prefix }: Machine['addresses'][number]) => address === vipApiserver && prefix === 32;
  return { ...machine, addresses: machine.addresses.filter((each) => !isLeft(each)) };
}

/** Where components of this machine reach kube-apiserver: its own, or the balancer before those of others. */
export const apiServerUrl = ({ hasApiServer, httpsListenPort, lbServerPort }: Settings): string =>
  `https://127.0.0.1:${String(hasApiServer ? httpsListenPort : lbServerPort)}`;

/** Whether this machine has a part in virtual IPs. */
export const hasVips = ({ vipPool, vipApiserver }: Pick<Settings, 'vipPool' | 'vipApiserver'>): boolean =>
  vipPool.length > 0 || vipApiserver !== undefined;

/** First usable address of the services: the `kubernetes` Service. Source: kube-apiserver `--service-cluster-ip-range`. */
export function apiServiceIp(settings: Settings): string {
  return addressAt(parseNetwork(settings.serviceCidr) as Network, 1) ?? '';
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
