/**
 * What a machine is of a cluster, as a choice of units: a server that can be joined has those of
 * units/cluster/ too, one that joins others those of units/joining/ besides; an agent has those of
 * units/agent/ instead of the control plane; all of them have those of units/member/. Without any of
 * it, the shipped units are what they are: a plain `up` knows nothing of all this.
 */
import type { ControlPlaneParts } from '../cluster/control-plane-parts.ts';
import { hasVips, type Settings } from '../cluster/settings.ts';
import { StartupError } from '../error/startup-error.ts';
import type { UnitGraph } from '../graph/unit-graph.ts';
import { shippedUnits, type UnitFolders, withShippedPart } from './shipped.ts';

type Parts = ControlPlaneParts & Pick<Settings, 'etcdSnapshotScheduleCron' | 'vipPool' | 'vipApiserver'>;

export interface RoleUnits extends UnitFolders {
  /** Shipped units that this role does without. */
  readonly leftOut: readonly string[];
}

/** What goes to the API of its own machine. */
const ofOwnApi: readonly string[] = [
  'manifests',
  'namespace-defaults',
  'cluster-dns-objects',
  'coredns',
  'cluster-dns',
];

/** An agent asks cluster DNS of the servers; its own kubelet and kube-proxy are all it shows of Kubernetes. */
const onServersOnly: readonly string[] = [
  ...['certificates', 'etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'scheduler-role'],
  ...ofOwnApi,
];

/** The folders to load, with those of the role behind the shipped units that they belong to. */
export function withRoleUnits(folders: UnitFolders, settings: Parts): RoleUnits {
  if (!folders.dirs.includes(shippedUnits())) return { ...folders, leftOut: [] };
  return {
    ...partsOf(settings).reduceRight(withShippedPart, folders),
    leftOut: [...leftOutOf(settings), ...(hasVipElsewhere(settings) ? ['vip-objects'] : [])],
  };
}

/** Folders below units/, each of which may change the units of those before it. */
function partsOf(settings: Parts): readonly string[] {
  const { role, isJoining, hasEtcd, hasApiServer, etcdSnapshotScheduleCron } = settings;
  const vip = [
    ...(hasVips(settings) ? ['vip'] : []),
    ...(hasVipElsewhere(settings) ? ['vip-without-api'] : []),
    ...(settings.vipApiserver === undefined ? [] : ['vip-apiserver']),
  ];
  if (role === 'agent') return ['member', 'agent', ...vip];
  const snapshots = etcdSnapshotScheduleCron === undefined || !hasEtcd ? [] : ['etcd-snapshots'];
  if (role === 'single') return [...snapshots, ...vip];
  return [
    'member',
    'cluster',
    ...snapshots,
    ...(isJoining ? ['joining'] : []),
    ...(hasEtcd ? [] : ['without-etcd']),
    ...(hasApiServer ? [] : ['without-api']),
    ...vip,
  ];
}

/** Virtual IPs on a machine whose API is another's: what they may do is made there. */
function hasVipElsewhere(settings: Parts): boolean {
  return hasVips(settings) && (settings.role === 'agent' || !settings.hasApiServer);
}

function leftOutOf({
  role,
  hasEtcd,
  hasApiServer,
  hasControllerManager,
  hasScheduler,
}: ControlPlaneParts): readonly string[] {
  if (role === 'single') return [];
  if (role === 'agent') return onServersOnly;
  return [
    ...(hasEtcd ? [] : ['etcd', 'etcd-member', 'etcd-voter', 'etcd-watch']),
    ...(hasApiServer ? [] : ['kube-apiserver', ...ofOwnApi]),
    ...(hasControllerManager ? [] : ['kube-controller-manager']),
    ...(hasScheduler ? [] : ['kube-scheduler', 'scheduler-role']),
  ];
}

/** The kubeconfig for people, once it is written. An agent writes those of its own components alone. */
export function userKubeconfig(graph: Pick<UnitGraph, 'has'>, { role, writeKubeconfig }: Settings): string | undefined {
  return graph.has('kubeconfigs') && role !== 'agent' ? writeKubeconfig : undefined;
}

/** What a machine that joins cannot begin without. Looked at when it is to be started, not when its graph is drawn. @throws StartupError ERR_CONFIG */
export function requireJoinable({ role, isJoining, hasJoined, servers, token, tokenFile }: Settings): void {
  if ((role !== 'agent' && !isJoining) || hasJoined) return;
  const mistakes = [
    ...(servers.length === 0 ? ['--server: where is the cluster? (or K3S_URL)'] : []),
    ...(token === undefined && tokenFile === undefined ? ['--token-file or --token (or K3S_TOKEN)'] : []),
  ];
  if (mistakes.length === 0) return;
  const who = role === 'agent' ? 'an agent' : 'a server that joins others';
  throw new StartupError('ERR_CONFIG', `${who} needs ${mistakes.join(', and ')}`, { mistakes });
}
