/**
 * Whose each certificate is, told by its file: for `certificate check` and `certificate rotate
 * --service`. Names as in K3s where it has the service, so that a script for K3s finds them.
 */
import path from 'node:path';

/** By the file's name without `serving-` or `client-`. */
const services: Readonly<Record<string, string>> = {
  'kube-apiserver': 'api-server',
  'kube-controller-manager': 'controller-manager',
  controller: 'controller-manager',
  'kube-scheduler': 'scheduler',
};

/** "server/tls/client-kube-apiserver.crt" → "api-server"; one that is not in the table has its file's name. */
export function serviceOf(certFile: string): string {
  const name = path.basename(certFile, '.crt').replace(/^(?:serving|client)-/, '');
  if (path.basename(path.dirname(certFile)) !== 'etcd') return services[name] ?? name;
  // The one that kube-apiserver asks etcd with.
  return name === 'client' ? 'api-server' : 'etcd';
}
