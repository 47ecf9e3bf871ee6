/**
 * Which authorities and certificates a cluster member has, and what each must say. Pure.
 *
 * Four authorities, because each is trusted for one thing only: a client certificate must not be
 * able to pose as a server or as the aggregation proxy, and nobody but kube-apiserver may talk to
 * etcd. Source: Kubernetes "PKI certificates and requirements"; file names as in K3s where they match.
 */
import path from 'node:path';
import { layoutOf } from './layout.ts';
import { apiServiceIp, hasVips, type Settings } from './settings.ts';

/** Whom the process of virtual IPs is known as; what that may do, vip-objects.ts says. */
export const vipUser = 'k3s-lite:vip';

export type AuthorityName = 'server' | 'client' | 'request-header' | 'etcd';

export interface AuthorityPlan {
  readonly name: AuthorityName;
  readonly certFile: string;
  readonly keyFile: string;
  readonly commonName: string;
}

export interface LeafPlan {
  /** For people and logs: "kube-apiserver serving". */
  readonly name: string;
  readonly authority: AuthorityName;
  readonly certFile: string;
  readonly keyFile: string;
  readonly commonName: string;
  readonly organization?: string;
  readonly usages: readonly ('server' | 'client')[];
  readonly dnsNames: readonly string[];
  readonly ips: readonly string[];
}

export interface CertificatePlan {
  readonly authorities: readonly AuthorityPlan[];
  readonly leaves: readonly LeafPlan[];
  /** RSA key that signs service-account tokens. */
  readonly serviceAccountKey: string;
  /** Copies of authority certificates for the node's components: they need no more of the control plane. */
  readonly copies: readonly { readonly from: string; readonly to: string }[];
}

export function certificatePlan(settings: Settings): CertificatePlan {
  const { serverTls, agentTls } = layoutOf(settings);
  const { nodeName, nodeIp } = settings;
  const authority = (name: AuthorityName, file: string): AuthorityPlan => ({
    name,
    certFile: path.join(serverTls, `${file}.crt`),
    keyFile: path.join(serverTls, `${file}.key`),
    commonName: `k3s-lite-${name}-ca`,
  });
  const leaf = (
    folder: string,
    file: string,
    rest: Pick<LeafPlan, 'name' | 'authority' | 'commonName' | 'usages'> & Partial<LeafPlan>,
  ): LeafPlan => ({
    certFile: path.join(folder, `${file}.crt`),
    keyFile: path.join(folder, `${file}.key`),
    dnsNames: [],
    ips: [],
    ...rest,
  });
  const client = (folder: string, file: string, commonName: string, organization?: string): LeafPlan =>
    leaf(folder, file, {
      name: `${commonName} client`,
      authority: 'client',
      commonName,
      usages: ['client'],
      ...(organization === undefined ? {} : { organization }),
    });
  const local = { dnsNames: ['localhost', nodeName], ips: unique(['127.0.0.1', nodeIp]) };
  const loopback = { dnsNames: ['localhost'], ips: ['127.0.0.1'] };
  const { vipApiserver, tlsSan } = settings;
  const extra = splitNames([...tlsSan, ...(vipApiserver === undefined ? [] : [vipApiserver])]);
  return {
    authorities: [
      authority('server', 'server-ca'),
      authority('client', 'client-ca'),
      authority('request-header', 'request-header-ca'),
      authority('etcd', 'etcd/ca'),
    ],
    leaves: [
      leaf(path.join(serverTls, 'etcd'), 'server', {
        name: 'etcd serving',
        authority: 'etcd',
        commonName: 'etcd-server',
        // etcd's own gateway is a client of the etcd server with this same certificate.
        usages: ['server', 'client'],
        ...local,
      }),
      leaf(path.join(serverTls, 'etcd'), 'peer', {
        name: 'etcd peer',
        authority: 'etcd',
        commonName: 'etcd-peer',
        usages: ['server', 'client'],
        ...local,
      }),
      leaf(path.join(serverTls, 'etcd'), 'client', {
        name: 'etcd client',
        authority: 'etcd',
        commonName: 'kube-apiserver',
        usages: ['client'],
      }),
      leaf(serverTls, 'serving-kube-apiserver', {
        name: 'kube-apiserver serving',
        authority: 'server',
        commonName: 'kube-apiserver',
        usages: ['server'],
        dnsNames: unique([
          'kubernetes',
          'kubernetes.default',
          'kubernetes.default.svc',
          `kubernetes.default.svc.${settings.clusterDomain}`,
          ...local.dnsNames,
          ...extra.dnsNames,
        ]),
        ips: unique([...local.ips, apiServiceIp(settings), ...extra.ips]),
      }),
      // With certificates from us, these two need not make an RSA pair of their own at each start.
      leaf(serverTls, 'serving-kube-controller-manager', {
        name: 'kube-controller-manager serving',
        authority: 'server',
        commonName: 'kube-controller-manager',
        usages: ['server'],
        ...loopback,
      }),
      leaf(serverTls, 'serving-kube-scheduler', {
        name: 'kube-scheduler serving',
        authority: 'server',
        commonName: 'kube-scheduler',
        usages: ['server'],
        ...loopback,
      }),
      leaf(agentTls, 'serving-kubelet', {
        name: 'kubelet serving',
        authority: 'server',
        commonName: nodeName,
        usages: ['server'],
        ...local,
      }),
      leaf(serverTls, 'client-auth-proxy', {
        name: 'front proxy client',
        authority: 'request-header',
        commonName: 'system:auth-proxy',
        usages: ['client'],
      }),
      client(serverTls, 'client-admin', 'system:admin', 'system:masters'),
      // As powerful as the administrator, since manifests may hold anything; but known by its own name.
      client(serverTls, 'client-manifests', 'system:k3s-lite:manifests', 'system:masters'),
      ...(settings.role === 'server'
        ? [
            leaf(serverTls, 'serving-join', {
              name: 'join server',
              authority: 'server',
              commonName: 'k3s-lite-join',
              usages: ['server'],
              dnsNames: unique([...local.dnsNames, ...extra.dnsNames]),
              ips: unique([...local.ips, ...extra.ips]),
            }),
            // It holds the authorities' keys, so it can be whoever it likes; known by its own name.
            client(serverTls, 'client-join', 'system:k3s-lite:join', 'system:masters'),
          ]
        : []),
      client(serverTls, 'client-kube-apiserver', 'system:apiserver', 'system:masters'),
      client(serverTls, 'client-controller', 'system:kube-controller-manager'),
      client(serverTls, 'client-scheduler', 'system:kube-scheduler'),
      client(agentTls, 'client-kubelet', `system:node:${nodeName}`, 'system:nodes'),
      client(agentTls, 'client-kube-proxy', 'system:kube-proxy'),
      client(agentTls, 'client-coredns', 'system:coredns'),
      ...(hasVips(settings) ? [client(agentTls, 'client-vip', vipUser)] : []),
    ],
    serviceAccountKey: path.join(serverTls, 'service.key'),
    copies: ['server-ca.crt', 'client-ca.crt'].map((file) => ({
      from: path.join(serverTls, file),
      to: path.join(agentTls, file),
    })),
  };
}

function splitNames(names: readonly string[]): { dnsNames: string[]; ips: string[] } {
  const isIp = (name: string) => /^[\d.]+$/.test(name) || name.includes(':');
  return { dnsNames: names.filter((name) => !isIp(name)), ips: names.filter(isIp) };
}

const unique = (names: readonly string[]): string[] => [...new Set(names)];
