/**
 * What a machine is of a cluster, as a choice of units: a server that can be joined has those of
 * units/cluster/ too; an agent has those of units/agent/ instead of the control plane. Without
 * either, the shipped units are what they are: a plain `up` knows nothing of all this.
 */
import type { Role, Settings } from '../cluster/settings.ts';
import { StartupError } from '../error/startup-error.ts';
import type { UnitGraph } from '../graph/unit-graph.ts';
import { shippedUnits, type UnitFolders, withShippedPart } from './shipped.ts';

export interface RoleUnits extends UnitFolders {
  /** Shipped units that this role does without. */
  readonly leftOut: readonly string[];
}

/** An agent asks cluster DNS of the servers; its own kubelet and kube-proxy are all it shows of Kubernetes. */
const onServersOnly: readonly string[] = [
  ...['certificates', 'etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'manifests'],
  ...['cluster-dns-objects', 'coredns', 'cluster-dns'],
];

/** The folders to load, with those of the role behind the shipped units that they belong to. */
export function withRoleUnits(folders: UnitFolders, role: Role): RoleUnits {
  if (role === 'single') return { ...folders, leftOut: [] };
  const isAgent = role === 'agent';
  const leavesOut = isAgent && folders.dirs.includes(shippedUnits());
  return { ...withShippedPart(folders, isAgent ? 'agent' : 'cluster'), leftOut: leavesOut ? onServersOnly : [] };
}

/** The kubeconfig for people, once it is written. An agent writes those of its own components alone. */
export function userKubeconfig(graph: Pick<UnitGraph, 'has'>, { role, writeKubeconfig }: Settings): string | undefined {
  return graph.has('kubeconfigs') && role !== 'agent' ? writeKubeconfig : undefined;
}

/** What an agent cannot begin without. Looked at when it is to be started, not when its graph is drawn. @throws StartupError ERR_CONFIG */
export function requireJoinable({ role, servers, token, tokenFile }: Settings): void {
  if (role !== 'agent') return;
  const mistakes = [
    ...(servers.length === 0 ? ['--server: where is the cluster? (or K3S_URL)'] : []),
    ...(token === undefined && tokenFile === undefined ? ['--token-file or --token (or K3S_TOKEN)'] : []),
  ];
  if (mistakes.length === 0) return;
  throw new StartupError('ERR_CONFIG', `an agent needs ${mistakes.join(', and ')}`, { mistakes });
}
