/**
 * kube-apiserver reaches the etcd of its machine by a socket: two units that have to agree. What changes one
 * of them alone (a drop-in, `--etcd-arg`, `--kube-apiserver-arg`) is told before anything starts, because the
 * API server would say no more than that the connection is refused. Not asked by who starts neither (`down`, a restore).
 */
import { StartupError } from '../error/startup-error.ts';
import type { UnitGraph } from '../graph/unit-graph.ts';

const files = ['etcd-cafile', 'etcd-certfile', 'etcd-keyfile'];

/** @throws StartupError ERR_CONFIG */
export function checkEtcdReach(graph: Pick<UnitGraph, 'has' | 'unit'>): void {
  if (!graph.has('kube-apiserver') || !graph.has('etcd')) return;
  const { flags } = graph.unit('kube-apiserver');
  const servers = textOf(flags, 'etcd-servers');
  const given = files.filter((flag) => textOf(flags, flag) !== '');
  const listens = textOf(graph.unit('etcd').flags, 'listen-client-urls');
  const mistakes: string[] = [];
  if (servers.startsWith('unix:')) {
    if (
      !listens
        .split(',')
        .map((url) => url.trim())
        .includes(servers)
    ) {
      mistakes.push(
        `etcd does not listen at ${servers}, where kube-apiserver looks for it: add it to etcd’s listen-client-urls (${listens}), or give kube-apiserver other etcd-servers`,
      );
    }
    if (given.length > 0) {
      mistakes.push(
        `kube-apiserver’s ${given.join(', ')} would encrypt what goes to a socket, and etcd does not: take it away, or give kube-apiserver etcd-servers of https, too`,
      );
    }
  } else if (servers.startsWith('https:') && given.length === 0) {
    mistakes.push(
      `kube-apiserver’s etcd-servers ${servers} need ${files.join(', ')}: those of the shipped etcd are \${serverTls}/etcd/ca.crt, client.crt and client.key`,
    );
  }
  if (mistakes.length > 0) throw new StartupError('ERR_CONFIG', mistakes.join('; '), { mistakes });
}

function textOf(flags: Readonly<Record<string, unknown>>, name: string): string {
  const value = flags[name];
  return typeof value === 'string' ? value : '';
}
