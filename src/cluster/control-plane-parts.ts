/**
 * What of a control plane a machine has, and what it is among several: from flags, and from what an
 * earlier start has left on its disk.
 */
import { existsSync } from 'node:fs';
import { layoutOf } from './layout.ts';

/** `single`: the whole cluster is this machine, and nobody can join it. */
export type Role = 'single' | 'server' | 'agent';

export interface ControlPlaneParts {
  readonly role: Role;
  /** A server that does not begin the cluster, but joins the servers of one. */
  readonly isJoining: boolean;
  /** It did so at an earlier start, and needs nobody to be named any more. */
  readonly hasJoined: boolean;
  /** Which parts of a control plane this machine has; an agent has none, whatever this says. */
  readonly hasEtcd: boolean;
  readonly hasApiServer: boolean;
  readonly hasControllerManager: boolean;
  readonly hasScheduler: boolean;
}

/** Data of a server among several stays that, whether the flags that made it so are given again or not. */
export function serverBefore(dataDir: string): 'first' | 'further' | undefined {
  const { serverJoined, etcdEnv } = layoutOf({ dataDir, runDir: '' });
  if (existsSync(serverJoined)) return 'further';
  return existsSync(etcdEnv) ? 'first' : undefined;
}

/** What a machine cannot be without, or not be at all. Source of the flags: K3s. */
export function partMistakes(parts: ControlPlaneParts): string[] {
  const { role, isJoining, hasEtcd, hasApiServer, hasControllerManager, hasScheduler } = parts;
  const without = [
    ...(hasEtcd ? [] : ['--disable-etcd']),
    ...(hasApiServer ? [] : ['--disable-apiserver']),
    ...(hasControllerManager ? [] : ['--disable-controller-manager']),
    ...(hasScheduler ? [] : ['--disable-scheduler']),
  ];
  if (without.length === 0) return [];
  if (role !== 'server') return [`${without.join(', ')} needs other servers: --cluster-init or --server`];
  return [
    ...(hasEtcd || isJoining ? [] : ['--disable-etcd does not go with --cluster-init, which begins etcd']),
    ...(hasEtcd || hasApiServer
      ? []
      : ['--disable-etcd and --disable-apiserver leave nothing of a server: `k3s-lite agent`']),
    ...(hasApiServer || !(hasControllerManager || hasScheduler)
      ? []
      : [
          '--disable-apiserver needs --disable-controller-manager and --disable-scheduler: they use the API of their own machine',
        ]),
  ];
}
