/**
 * What travels between a joining machine and the join server: paths, headers and the shapes of
 * bodies. Both sides parse with these; nothing from outside is believed before.
 */
import * as z from 'zod';

export const paths = {
  /** Open to anybody: "pong". */
  ping: '/ping',
  /** Open to anybody: the authority's certificates, PEM. Source: K3s. */
  authority: '/cacerts',
  /** POST {@link certificateRequest}: a certificate for the sender's key. */
  certificates: '/v1/certificates',
  /** GET {@link knownServers}. */
  servers: '/v1/servers',
  /** GET {@link criticalSettings}: an agent takes them from its cluster. */
  nodeSettings: '/v1/node-settings',
  /** POST nothing: {@link bootstrap}, sealed with the token. For servers only. */
  bootstrap: '/v1/bootstrap',
  /** POST {@link serverSettings}: do both servers mean the same cluster? For servers only. */
  settings: '/v1/settings',
} as const;

/** Who a node is, beside the token that all nodes share: the first to use a name keeps it by its password. */
export const nodeHeaders = { name: 'k3s-lite-node-name', password: 'k3s-lite-node-password' } as const;

/** RFC 1123 subdomain: what Kubernetes takes as a node name. */
export const nodeName = z
  .string()
  .max(63)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/, 'a node name');

/** What a node may have a certificate for. */
export const certificatePurpose = z.enum(['kubelet-client', 'kubelet-serving', 'kube-proxy', 'coredns', 'vip']);
export type CertificatePurpose = z.infer<typeof certificatePurpose>;

export const certificateRequest = z.strictObject({
  purpose: certificatePurpose,
  /** PKCS #10, PEM. A P-256 request has 400 to 700 bytes. */
  csr: z.string().max(8192),
  /** Addresses of the node, for its serving certificate. */
  ips: z.array(z.ipv4()).max(16).default([]),
});
export type CertificateRequest = z.infer<typeof certificateRequest>;

export const issuedCertificate = z.object({
  certificate: z.string(),
  /** Who signed it, and who the node has to believe when it is a server. */
  clientAuthority: z.string(),
  serverAuthority: z.string(),
});
export type IssuedCertificate = z.infer<typeof issuedCertificate>;

export const knownServers = z.object({
  /** The one that answers is the first. */
  servers: z.array(
    z.object({
      /** Unknown of one that has no etcd, except when it answers itself. */
      name: nodeName.optional(),
      /** Origin of its join server. */
      join: z.url(),
      /** host:port of its kube-apiserver; absent on one without. */
      api: z.string().optional(),
      /** host:port of its etcd for clients; absent on one without. */
      etcd: z.string().optional(),
    }),
  ),
});
export type KnownServers = z.infer<typeof knownServers>;

/** Settings that all servers of one cluster must share. Source: K3s "critical configuration values". */
export const criticalSettings = z.strictObject({
  clusterCidr: z.string(),
  serviceCidr: z.string(),
  clusterDns: z.string(),
  clusterDomain: z.string(),
});
export type CriticalSettings = z.infer<typeof criticalSettings>;

/** What servers compare when one joins: besides those, what each may do without, and else has to be the same. */
export const serverSettings = criticalSettings.extend({ vipApiserver: z.string().optional() });
export type ServerSettings = z.infer<typeof serverSettings>;

/** {@link sealWithToken} of {@link bootstrap}. */
export const sealedBootstrap = z.object({ sealed: z.string().max(256 * 1024) });

/** Names relative to the folder of the control plane's certificates, with their contents. */
export const authorityFiles = z.record(
  z.string().regex(/^(?:[a-z-]+\/)?[a-z-]+\.(?:crt|key)$/),
  z.string().max(64 * 1024),
);
export type AuthorityFiles = z.infer<typeof authorityFiles>;

/** What another server of the same cluster cannot make by itself. */
export const bootstrap = z.object({
  authorities: authorityFiles,
  /** Password of the agents' token: they may join at each server. The servers' own is known to whoever can open this. */
  nodePassword: z.string().min(1).max(1024),
});
export type Bootstrap = z.infer<typeof bootstrap>;

/** Of every refusal. */
export const refusal = z.object({ code: z.string(), message: z.string() });
