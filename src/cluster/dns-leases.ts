/**
 * The Lease by which a server says that its cluster DNS answers, and what another one makes of it. Pure.
 *
 * There is one truth, in the API, and nobody judges by what reaches him of another machine. Nor are clocks
 * of two machines compared: a Lease is silent when it has not changed for as long as it promises, on the
 * clock of who looks (as in Kubernetes' election of leaders). Who could not read or renew himself in that
 * time has no word: after an outage of the API all Leases are old, and the others need time to renew. What
 * was seen before a look that failed counts for nothing, for the same reason.
 */
import * as z from 'zod';
import type { Labelled } from './api-objects.ts';

export const leasesPath = '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases';
const prefix = 'k3s-lite-dns-';
const labels = { 'k8s-app': 'kube-dns', 'app.kubernetes.io/managed-by': 'k3s-lite' };
const leaseSelector = 'k8s-app=kube-dns,app.kubernetes.io/managed-by=k3s-lite';

/** What a Lease promises: its owner renews it every 2 s. */
const promisedMs = 5_000;
/** A look begins 2 s after the last has ended. One that ends later than this may have hung with the API. */
const longestGapMs = 4_000;

const leaseSchema = z.looseObject({
  metadata: z.object({ name: z.string().startsWith(prefix), resourceVersion: z.string() }),
  spec: z.object({ renewTime: z.string() }),
});
export type DnsLease = z.infer<typeof leaseSchema>;

/** All servers' own. */
export const leasesOfDns: Labelled<DnsLease> = { path: leasesPath, selector: leaseSelector, item: leaseSchema };

export const leaseName = (nodeName: string): string => `${prefix}${nodeName}`;

/** To be applied. @param version - the one that was read; undefined: there was none */
export function renewedLease(nodeName: string, version: string | undefined, wallMs: number): object {
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {
      name: leaseName(nodeName),
      namespace: 'kube-system',
      labels,
      ...(version === undefined ? {} : { resourceVersion: version }),
    },
    spec: {
      holderIdentity: nodeName,
      leaseDurationSeconds: promisedMs / 1000,
      // Nobody compares it with a clock: what counts is that it changes.
      renewTime: new Date(wallMs).toISOString().replace('Z', '000Z'),
    },
  };
}

/** What a server has seen in its looks so far. Times are of its own monotonic clock. */
export interface DnsWatch {
  /** By node: the last renewal, and since when it is known. */
  readonly renewals: ReadonlyMap<string, { readonly renewTime: string; readonly sinceMs: number }>;
  /** Since when it has read and renewed without a gap. */
  readonly steadySinceMs: number | undefined;
  readonly lastMs: number | undefined;
  /** Looks in a row that ended too late after the one before. */
  readonly lateInARow: number;
}

/** Also after a look that came to nothing. */
export const nothingSeen: DnsWatch = {
  renewals: new Map(),
  steadySinceMs: undefined,
  lastMs: undefined,
  lateInARow: 0,
};

export interface LeaseLook {
  readonly leases: readonly DnsLease[];
  /** Its own Lease, after reading the others'. */
  readonly hasRenewed: boolean;
  readonly endedMs: number;
}

export function afterLook(before: DnsWatch, { leases, hasRenewed, endedMs }: LeaseLook): DnsWatch {
  const renewals = leases.map(({ metadata, spec: { renewTime } }) => {
    const node = metadata.name.slice(prefix.length);
    const known = before.renewals.get(node);
    return [node, known?.renewTime === renewTime ? known : { renewTime, sinceMs: endedMs }] as const;
  });
  const isLate = before.lastMs !== undefined && endedMs - before.lastMs > longestGapMs;
  const steadySinceMs = isLate ? endedMs : (before.steadySinceMs ?? endedMs);
  return {
    renewals: new Map(renewals),
    steadySinceMs: hasRenewed ? steadySinceMs : undefined,
    lastMs: endedMs,
    lateInARow: isLate ? before.lateInARow + 1 : 0,
  };
}

/** One late look is nothing; who is late again and again is never steady, and nobody would know. */
export const isTooSlow = ({ lateInARow }: DnsWatch): boolean => lateInARow >= 3;

/** Whether it has a word: so long that whoever lives has renewed meanwhile. @param startedMs - when the look began */
export const isSteady = ({ steadySinceMs }: DnsWatch, startedMs: number): boolean =>
  steadySinceMs !== undefined && startedMs - steadySinceMs >= promisedMs;

/** Nodes whose Lease has not changed for as long as it promises. @param startedMs - when the look began: what was read is no older */
export function silentNodes({ renewals }: DnsWatch, startedMs: number): ReadonlySet<string> {
  return new Set([...renewals].filter(([, { sinceMs }]) => startedMs - sinceMs >= promisedMs).map(([node]) => node));
}
