/**
 * Cluster DNS as two builtins. CoreDNS runs as a host process; pods reach it through the `kube-dns`
 * Service, which has no selector but an EndpointSlice with the node's address.
 *
 * `cluster-dns-objects` makes these objects and CoreDNS's permissions; `cluster-dns` asks a real
 * question, because only an answer proves that DNS is ready (design contract 2).
 */
import { Resolver } from 'node:dns/promises';
import type { Builtin } from '../unit/builtin.ts';
import { backoffDelayMs } from '../kernel/backoff.ts';
import { onAbort } from '../kernel/abort.ts';
import { sleep, type Clock } from '../kernel/clock.ts';
import { applyObjects, type ApiObject, type Connect } from './api-objects.ts';
import { apiServiceIp, type Settings } from './settings.ts';

/** Each server answers, and tells of itself. */
export const ownSliceName = ({ isJoining, nodeName }: Pick<Settings, 'isJoining' | 'nodeName'>): string =>
  isJoining ? `kube-dns-${nodeName}` : 'kube-dns-host';

/**
 * What has to be in the API for DNS. Source: CoreDNS's deployment for Kubernetes (its permissions).
 *
 * @param isAsked - whether pods are sent here
 */
export function dnsObjects(settings: Settings, isAsked = true): readonly ApiObject[] {
  const meta = { name: 'kube-dns', namespace: 'kube-system' };
  const slice = ownSliceName(settings);
  const labels = { 'k8s-app': 'kube-dns', 'app.kubernetes.io/managed-by': 'k3s-lite' };
  const port = (name: string, protocol: string, number: number) => ({ name, protocol, port: number });
  return [
    {
      path: '/apis/rbac.authorization.k8s.io/v1/clusterroles/system:coredns',
      body: {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRole',
        metadata: { name: 'system:coredns', labels },
        rules: [
          { apiGroups: [''], resources: ['endpoints', 'services', 'pods', 'namespaces'], verbs: ['list', 'watch'] },
          { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
        ],
      },
    },
    {
      path: '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/system:coredns',
      body: {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRoleBinding',
        metadata: { name: 'system:coredns', labels },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:coredns' },
        subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'system:coredns' }],
      },
    },
    {
      path: '/api/v1/namespaces/kube-system/services/kube-dns',
      body: {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: {
          ...meta,
          labels: { ...labels, 'kubernetes.io/cluster-service': 'true', 'kubernetes.io/name': 'CoreDNS' },
        },
        spec: { clusterIP: settings.clusterDns, ports: [port('dns', 'UDP', 53), port('dns-tcp', 'TCP', 53)] },
      },
    },
    {
      path: `/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/${slice}`,
      body: {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: {
          name: slice,
          namespace: 'kube-system',
          labels: { ...labels, 'kubernetes.io/service-name': 'kube-dns' },
        },
        addressType: 'IPv4',
        endpoints: [{ addresses: [settings.nodeIp], conditions: { ready: isAsked }, nodeName: settings.nodeName }],
        ports: [port('dns', 'UDP', settings.dnsPort), port('dns-tcp', 'TCP', settings.dnsPort)],
      },
    },
  ];
}

export function clusterDnsObjectsBuiltin(settings: Settings, connect: Connect): Builtin {
  return async ({ signal, log }) => {
    using client = await connect();
    await applyObjects(client, dnsObjects(settings), signal);
    log(`kube-dns is ${settings.clusterDns}, answered by ${settings.nodeIp}:${String(settings.dnsPort)}`);
  };
}

/** Every cluster's DNS can answer it. */
const questionOf = (clusterDomain: string): string => `kubernetes.default.svc.${clusterDomain}`;
const queryPace = { firstMs: 20, factor: 2, maxMs: 250, jitter: 0.2 };

export interface DnsQuestion {
  /** host:port of the server. */
  readonly server: string;
  readonly name: string;
  readonly expected: string;
}

/**
 * Asks until the answer is right. UDP has no event to wait for, so this is a probe with backoff.
 *
 * @throws the signal's reason; the executor's `startWithin` bounds it
 */
export async function untilAnswered(question: DnsQuestion, clock: Clock, signal: AbortSignal): Promise<number> {
  const resolver = new Resolver({ timeout: 500, tries: 1 });
  resolver.setServers([question.server]);
  using _ = onAbort(signal, () => {
    resolver.cancel();
  });
  for (let attempt = 1; ; attempt += 1) {
    const answer = await resolver.resolve4(question.name).catch((): string[] => []);
    if (answer.includes(question.expected)) return attempt;
    await sleep(clock, backoffDelayMs(queryPace, attempt, Math.random), signal);
  }
}

const answerWithinMs = 1_000;

/** Asks once. @throws the signal's reason */
export async function isAnswering(
  server: string,
  clusterDomain: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<boolean> {
  const resolver = new Resolver({ timeout: answerWithinMs, tries: 1 });
  const cancel = () => {
    resolver.cancel();
  };
  using _ = onAbort(signal, cancel);
  // The resolver's own limit may come half a second late.
  using _timer = clock.timer(answerWithinMs, cancel);
  resolver.setServers([server]);
  const answer = await resolver.resolve4(questionOf(clusterDomain)).catch((): string[] => []);
  signal.throwIfAborted();
  return answer.length > 0;
}

export function clusterDnsBuiltin(settings: Settings, clock: Clock): Builtin {
  return async ({ signal, log }) => {
    const name = questionOf(settings.clusterDomain);
    const expected = apiServiceIp(settings);
    const attempts = await untilAnswered(
      { server: `127.0.0.1:${String(settings.dnsPort)}`, name, expected },
      clock,
      signal,
    );
    log(`${name} is ${expected} (answered at attempt ${String(attempts)})`);
  };
}
