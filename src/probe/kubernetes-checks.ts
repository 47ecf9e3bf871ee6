/** The verbose answers of Kubernetes' health endpoints. Source: kubernetes.io, "Kubernetes API health endpoints". */

/** Failed checks that are named in an outcome; the rest is only counted. */
const maxNamed = 3;

/** True for the paths that take `?verbose` and `?exclude=`: of the API server, and of etcd 3.6 alike. */
export function asksKubernetes(pathname: string): boolean {
  return pathname === '/readyz' || pathname === '/livez' || pathname === '/healthz';
}

/** "[-]etcd failed: reason withheld, [-]informer-sync failed and 2 more", or undefined when no check is named. */
export function failedChecks(body: string): string | undefined {
  const failed = body
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line.startsWith('[-]'));
  if (failed.length === 0) return undefined;
  const more = failed.length - maxNamed;
  return `${failed.slice(0, maxNamed).join(', ')}${more > 0 ? ` and ${String(more)} more` : ''}`;
}
