/**
 * Who of the nodes is silent while no kube-controller-manager lives, by what Leases say. Pure.
 *
 * With one that lives nothing is said here: Kubernetes' own controller knows, and writes it.
 */
import * as z from 'zod';
import { stillForMs, type LeaseHistory } from './lease-history.ts';

const allLeases = '/apis/coordination.k8s.io/v1/namespaces';
/** A list of one, because a list says its revision. */
export const controllerLeasePath = `${allLeases}/kube-system/leases?fieldSelector=metadata.name%3Dkube-controller-manager`;
export const nodeLeasesPath = `${allLeases}/kube-node-lease/leases`;
/** Of one node: a list of one or none. */
export const nodeLeasePath = (name: string): string =>
  `${nodeLeasesPath}?fieldSelector=${encodeURIComponent(`metadata.name=${name}`)}`;

/** Beyond what the Lease promises: another controller-manager takes it over meanwhile. Source: Kubernetes, RetryPeriod 2 s. */
const takeoverMs = 10_000;
/** Source: Kubernetes `LeaseDuration` of controller-managers, of those that have no Lease. */
const usualDurationSeconds = 15;

const version = z
  .string()
  .regex(/^\d{1,15}$/)
  .transform(Number);
const leasesSchema = z.object({
  metadata: z.object({ resourceVersion: version }),
  items: z
    .array(
      z.object({
        metadata: z.object({ name: z.string(), resourceVersion: version }),
        spec: z.object({ leaseDurationSeconds: z.number().nullish() }).nullish(),
      }),
    )
    .nullish(),
});

export interface ReadLeases {
  readonly revision: number;
  readonly leases: readonly { readonly name: string; readonly version: number; readonly durationMs: number }[];
}

/** @throws ZodError when it is no list of Leases, or of versions that are no numbers */
export function readLeases(answer: unknown): ReadLeases {
  const { metadata, items } = leasesSchema.parse(answer);
  return {
    revision: metadata.resourceVersion,
    leases: (items ?? []).map(({ metadata: { name, resourceVersion }, spec }) => ({
      name,
      version: resourceVersion,
      durationMs: (spec?.leaseDurationSeconds ?? usualDurationSeconds) * 1000,
    })),
  };
}

/** Of the controller-manager: what stands still for longer is nobody's. */
export const lostAfterMs = ({ leases: [lease] }: ReadLeases): number =>
  (lease?.durationMs ?? usualDurationSeconds * 1000) + takeoverMs;

/** For how long no controller-manager has said that it lives, in milliseconds; undefined: one does, or may. */
export function controllerLostForMs(
  history: LeaseHistory,
  controller: ReadLeases,
  startedMs: number,
): number | undefined {
  // Where there never was one, none lives either.
  const stillMs = stillForMs(history, controller.leases[0]?.version ?? 0, startedMs);
  return stillMs > lostAfterMs(controller) ? stillMs : undefined;
}

export interface SilentNode {
  readonly name: string;
  /** Of its Lease: with another one it has said something since. */
  readonly version: number;
  /** For how long at least. */
  readonly silentMs: number;
}

/**
 * A node without a Lease (one that has never run, or whose Lease somebody has deleted) is none: nothing tells since when.
 *
 * @param graceMs - `--node-monitor-grace-period`
 */
export function silentNodes(
  history: LeaseHistory,
  { leases }: ReadLeases,
  { startedMs, graceMs }: { readonly startedMs: number; readonly graceMs: number },
): readonly SilentNode[] {
  return leases
    .map(({ name, version }) => ({ name, version, silentMs: stillForMs(history, version, startedMs) }))
    .filter(({ silentMs }) => silentMs > graceMs);
}
