/**
 * What a person may set for one cluster member, and how each value must look: K3s's flags where they
 * mean the same, and the ports of every component. What follows from them is settings.ts's.
 */
import * as z from 'zod';
import { parseCron } from '../kernel/cron.ts';
import { parseDurationMs } from '../kernel/duration.ts';
import { lazily } from '../kernel/lazily.ts';
import { messageOf } from '../kernel/message-of.ts';
import { snapshotNamePattern } from './etcd/snapshot-name.ts';
import { parseAddress, parseNetwork } from './ipv4.ts';
import { joinPort as defaultJoinPort } from './join/server-url.ts';

/** RFC 1123 subdomain: what Kubernetes takes as a node name. */
export const dnsName = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
/** Source: Linux, dev_valid_name: at most 15 bytes, no slash, colon or space. */
const interfaceName = /^(?!\.{1,2}$)[^\s/:]{1,15}$/;

/** The first pause between two tries of servers that cannot be reached, in units/agent/join.yaml. */
const shortestRetryMs = 500;
const atLeast = (leastMs: number, text: string) =>
  z
    .string()
    .refine(
      (given) => (parseDurationMs(given) ?? 0) >= leastMs,
      `a duration of at least ${text}, like 750ms, 10s or 1m30s`,
    )
    .transform((given) => parseDurationMs(given) ?? leastMs);

/** Ports and their defaults. Source: Kubernetes "Ports and Protocols"; etcd's own; CoreDNS beside a resolver on :53; RKE2's for joining; K3s's for the balancer. */
export const portDefaults = {
  httpsListenPort: 6443,
  etcdClientPort: 2379,
  etcdPeerPort: 2380,
  etcdMetricsPort: 2381,
  controllerManagerPort: 10257,
  schedulerPort: 10259,
  kubeletPort: 10250,
  kubeletHealthPort: 10248,
  kubeProxyHealthPort: 10256,
  kubeProxyMetricsPort: 10249,
  dnsPort: 5353,
  dnsReadyPort: 8181,
  joinPort: defaultJoinPort,
  peerPort: 9346,
  lbServerPort: 6444,
} as const;
export type PortName = keyof typeof portDefaults;
export const portNames = Object.keys(portDefaults) as PortName[];

/** What a person may set; everything has a default. Unknown keys are the caller's to report. Made at its first use. */
export const settingsSchema = lazily(() => {
  const address = z.string().refine((text) => parseAddress(text) !== undefined, 'an IPv4 address like 192.0.2.10');
  const network = z
    .string()
    .refine(
      (text) => parseNetwork(text) !== undefined,
      'an IPv4 network like 10.42.0.0/16, with no bits behind the prefix',
    );
  const port = z.coerce
    .number('a port number')
    .int('a port number')
    .min(1, 'a port number')
    .max(65535, 'a port number');
  const nodeName = z
    .string()
    .max(63, 'at most 63 characters')
    .regex(dnsName, 'lower-case letters, digits, dashes and dots');
  const folder = z.string().startsWith('/', 'an absolute path');
  const schedule = z.string().superRefine((text, context) => {
    try {
      parseCron(text);
    } catch (error) {
      context.addIssue({ code: 'custom', message: messageOf(error) });
    }
  });
  const ports = Object.fromEntries(portNames.map((name) => [name, port.optional()])) as Record<
    PortName,
    z.ZodOptional<typeof port>
  >;
  return z.object({
    nodeName: nodeName.optional(),
    nodeIp: address.optional(),
    clusterCidr: network.default('10.42.0.0/16'),
    serviceCidr: network.default('10.43.0.0/16'),
    clusterDns: address.optional(),
    clusterDomain: z.string().regex(dnsName, 'a domain like cluster.local').default('cluster.local'),
    /** The part of `clusterCidr` that the pods of this node get. */
    podCidr: network.optional(),
    tlsSan: z.array(z.string().min(1)).default([]),
    writeKubeconfig: folder.optional(),
    /** kubelet's cgroup root: one for each node on a machine. */
    cgroupRoot: folder.default('/'),
    /** nftables: one table of its own, removed in one step. iptables: for kernels before 5.13. */
    proxyMode: z.enum(['nftables', 'iptables']).default('nftables'),
    role: z.enum(['server', 'agent'], 'server or agent').default('server'),
    clusterInit: z.boolean().default(false),
    server: z.array(z.string()).default([]),
    disableEtcd: z.boolean().default(false),
    disableApiserver: z.boolean().default(false),
    disableControllerManager: z.boolean().default(false),
    disableScheduler: z.boolean().default(false),
    token: z.string().optional(),
    tokenFile: folder.optional(),
    /** Absent: no snapshots of etcd but those on demand. */
    etcdSnapshotScheduleCron: schedule.optional(),
    /** Source: K3s's default. */
    etcdSnapshotRetention: z.coerce.number('a number').int('a whole number').min(1, 'at least 1').default(5),
    etcdSnapshotName: z
      .string()
      .regex(snapshotNamePattern, 'a file name of letters, digits, dots and dashes')
      .default('etcd-snapshot'),
    etcdSnapshotDir: folder.optional(),
    /** "NAME=RANGES" or the ranges alone. Empty: no virtual IPs. What a range is, the room `vip` says. */
    vipPool: z.array(z.string().min(1, 'a pool like lan=192.0.2.0/28')).default([]),
    /** Of all API servers together. */
    vipApiserver: address.optional(),
    vipInterface: z.string().regex(interfaceName, 'the name of an interface, like eth0').optional(),
    /** Empty: voluntary moves at any time. What a window is, the room `vip` says. */
    vipWindow: z.array(z.string().min(1, 'a window like "0 2 * * sun 2h Europe/Berlin"')).default([]),
    vipDefaultClass: z.boolean().default(false),
    /** What the ways are, the room `vip` says; absent: its default. */
    vipElection: z.enum(['coordinator', 'per-service'], 'coordinator or per-service').optional(),
    /** As above. */
    vipBalance: z.enum(['count', 'load'], 'count or load').optional(),
    vipLeaseDuration: atLeast(1, '1ms').optional(),
    vipRenewDeadline: atLeast(1, '1ms').optional(),
    vipRetryPeriod: atLeast(1, '1ms').optional(),
    nodeConnectionRetry: atLeast(shortestRetryMs, '500ms').default(5_000),
    etcdRequestTimeout: atLeast(1, '1ms').optional(),
    ...ports,
  });
});
export type SettingsInput = z.input<ReturnType<typeof settingsSchema>>;

/** "httpsListenPort" → "--https-listen-port". */
export function flagOf(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
