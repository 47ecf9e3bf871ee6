/**
 * Leases and the assignment as objects of Kubernetes: what the machines mean, and how it is written.
 *
 * Each call here has its own limit and ends as an answer or as a classified failure, never as something
 * thrown.
 *
 * Lease.spec.leaseDurationSeconds is whole seconds (client-go cuts): the true times are annotations.
 */
import * as z from 'zod';
import { linkedAbort } from '../../kernel/abort.ts';
import type { Clock } from '../../kernel/clock.ts';
import { canonicalIp, parseIp } from '../ip-address.ts';
import type { VipAddress } from '../model.ts';
import { unlessMissing } from '../unless-missing.ts';
import type { VipKube } from '../vip-kube.ts';
import type { Stored } from './coordinator-model.ts';
import { classify, type ApiFailure, type Verdict } from './error-class.ts';
import type { LeaseDraft, LeaseRecord } from './lease-model.ts';
import { assignmentText, noAssignment, readAssignment, type StoredAssignment } from './stored-assignment.ts';

export type AssignmentKube = Omit<VipKube, 'apply'>;

export type Answer<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly verdict: Verdict };

/** Nobody waits longer for anything that is not a renewal. */
export const otherCallMs = 2000;

export const coordinatorLease = 'vip-coordinator';
const nodePrefix = 'vip-node-';
export const nodeLease = (node: string): string => `${nodePrefix}${node}`;
/** Undefined: it is no node's. */
export const nodeOfLease = (lease: string): string | undefined =>
  lease.startsWith(nodePrefix) ? lease.slice(nodePrefix.length) : undefined;

const addressPrefix = 'vip-address-';
/** Of an address that is elected by itself. A name may have no colon: of IPv6 it is all eight groups with dashes. */
export function addressLease(address: VipAddress): string {
  const ip = parseIp(address);
  if (ip?.family !== 6) return `${addressPrefix}${address}`;
  const digits = ip.value.toString(16).padStart(32, '0');
  return `${addressPrefix}${digits.replaceAll(/.{4}(?=.)/g, '$&-')}`;
}
/** Undefined: it is no address's. */
export function addressOfLease(lease: string): VipAddress | undefined {
  return lease.startsWith(addressPrefix)
    ? canonicalIp(lease.slice(addressPrefix.length).replaceAll('-', ':'))
    : undefined;
}

const assignmentName = 'vip-assignment';
const annotationPrefix = 'vip.k3s-lite.io/';
const managedBy = { 'app.kubernetes.io/managed-by': 'k3s-lite-vip' };
/** For lists and watches: our Leases alone. */
export const ourLeases = 'app.kubernetes.io/managed-by=k3s-lite-vip';

const leaseSchema = z.object({
  metadata: z.object({
    name: z.string(),
    uid: z.string(),
    resourceVersion: z.string(),
    annotations: z.record(z.string(), z.string()).default({}),
  }),
  spec: z
    .object({
      holderIdentity: z.string().nullish(),
      leaseDurationSeconds: z.number().nullish(),
      leaseTransitions: z.number().nullish(),
    })
    .default({}),
});
const durationMs = z.coerce.number().int().min(1).max(86_400_000);
const configMapSchema = z.object({
  metadata: z.object({ resourceVersion: z.string() }),
  data: z.object({ assignment: z.string() }),
});
const refusalSchema = z.object({
  status: z.number(),
  reason: z.string().default(''),
  message: z.string(),
  retryAfterMs: z.number().optional(),
});

export interface NamedLease {
  readonly name: string;
  readonly record: LeaseRecord;
}

/** @throws an Error when it is no Lease */
export function readLease(object: unknown): NamedLease {
  const { metadata, spec } = leaseSchema.parse(object);
  const { annotations } = metadata;
  const own = Object.entries(annotations).filter(([key]) => key.startsWith(annotationPrefix));
  const {
    'duration-ms': written,
    nonce = '',
    ...notes
  } = Object.fromEntries(own.map(([key, value]) => [key.slice(annotationPrefix.length), value]));
  const duration = durationMs.safeParse(written);
  return {
    name: metadata.name,
    record: {
      version: metadata.resourceVersion,
      uid: metadata.uid,
      holder: spec.holderIdentity ?? '',
      durationMs: duration.success ? duration.data : (spec.leaseDurationSeconds ?? 60) * 1000,
      transitions: spec.leaseTransitions ?? 0,
      nonce,
      notes,
    },
  };
}

function leaseObject(name: string, namespace: string, draft: LeaseDraft, wallMs: number): object {
  const { holder, durationMs: promisedMs, transitions, nonce, notes, version } = draft;
  const annotations = { ...notes, nonce, 'duration-ms': String(promisedMs) };
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {
      name,
      namespace,
      labels: managedBy,
      annotations: Object.fromEntries(
        Object.entries(annotations).map(([key, value]) => [`${annotationPrefix}${key}`, value]),
      ),
      ...(version === undefined ? {} : { resourceVersion: version }),
    },
    spec: {
      // An empty identity is refused; without one it is nobody's.
      ...(holder === '' ? {} : { holderIdentity: holder }),
      leaseDurationSeconds: Math.max(Math.ceil(promisedMs / 1000), 1),
      leaseTransitions: transitions,
      // For people, and for tools that show Leases: nobody here compares it with a clock.
      renewTime: new Date(wallMs).toISOString().replace('Z', '000Z'),
    },
  };
}

export interface ClusterApi {
  readLease(name: string, limitMs: number): Promise<Answer<LeaseRecord | undefined>>;
  writeLease(name: string, draft: LeaseDraft, limitMs: number): Promise<Answer<LeaseRecord>>;
  listLeases(): Promise<Answer<readonly NamedLease[]>>;
  readAssignment(): Promise<Answer<Stored>>;
  /** @returns the new version */
  writeAssignment(version: string | undefined, assignment: StoredAssignment): Promise<Answer<string>>;
  watchLeases(signal: AbortSignal, only?: string): AsyncIterable<NamedLease & { readonly isDeleted: boolean }>;
  watchAssignment(signal: AbortSignal): AsyncIterable<StoredAssignment>;
}

export interface ClusterApiOptions {
  /** Asked before each call: credentials that were renewed count at once. */
  readonly connect: () => Promise<AssignmentKube>;
  readonly namespace: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export function clusterApi({ connect, namespace, clock, signal }: ClusterApiOptions): ClusterApi {
  const leases = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;
  const maps = `/api/v1/namespaces/${namespace}/configmaps`;

  async function call<T>(
    limitMs: number,
    run: (kube: AssignmentKube, end: AbortSignal) => Promise<T>,
  ): Promise<Answer<T>> {
    using end = linkedAbort(signal);
    const late = new Error('no answer in time');
    using _timer = clock.timer(limitMs, () => end.abort(late));
    try {
      return { ok: true, value: await run(await connect(), end.signal) };
    } catch (error) {
      return {
        ok: false,
        verdict: classify(end.signal.reason === late ? { kind: 'timeout', afterMs: limitMs } : failureOf(error)),
      };
    }
  }
  const storedOf = (object: unknown): Stored => {
    const { metadata, data } = configMapSchema.parse(object);
    return { version: metadata.resourceVersion, assignment: readAssignment(data.assignment) };
  };

  return {
    readLease: (name, limitMs) =>
      call(limitMs, async (kube, end) => {
        const object = await unlessMissing(kube.get(`${leases}/${name}`, end));
        return object === undefined ? undefined : readLease(object).record;
      }),
    writeLease: (name, draft, limitMs) =>
      call(limitMs, async (kube, end) => {
        const body = leaseObject(name, namespace, draft, clock.wallMs());
        const object =
          draft.version === undefined
            ? await kube.create(leases, body, end)
            : await kube.replace(`${leases}/${name}`, body, end);
        return readLease(object).record;
      }),
    listLeases: () =>
      call(otherCallMs, async (kube, end) => {
        const answer = await kube.get(`${leases}?labelSelector=${encodeURIComponent(ourLeases)}`, end);
        return z
          .object({ items: z.array(z.unknown()) })
          .parse(answer)
          .items.map(readLease);
      }),
    readAssignment: () =>
      call(otherCallMs, async (kube, end) => {
        const object = await unlessMissing(kube.get(`${maps}/${assignmentName}`, end));
        return object === undefined ? { version: undefined, assignment: noAssignment } : storedOf(object);
      }),
    writeAssignment: (version, assignment) =>
      call(otherCallMs, async (kube, end) => {
        const body = {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: {
            name: assignmentName,
            namespace,
            labels: managedBy,
            ...(version === undefined ? {} : { resourceVersion: version }),
          },
          data: { assignment: assignmentText(assignment) },
        };
        const written =
          version === undefined
            ? await kube.create(maps, body, end)
            : await kube.replace(`${maps}/${assignmentName}`, body, end);
        return configMapSchema.parse(written).metadata.resourceVersion;
      }),
    async *watchLeases(end, only) {
      const kube = await connect();
      const query = only === undefined ? { labelSelector: ourLeases } : { fieldSelector: `metadata.name=${only}` };
      for await (const { type, object } of kube.watch(leases, query, end)) {
        yield { ...readLease(object), isDeleted: type === 'DELETED' };
      }
    },
    async *watchAssignment(end) {
      const kube = await connect();
      const query = { fieldSelector: `metadata.name=${assignmentName}` };
      for await (const { type, object } of kube.watch(maps, query, end)) {
        if (type !== 'DELETED') yield storedOf(object).assignment;
      }
    },
  };
}

/** What was thrown, in the words of the table of error classes. */
export function failureOf(error: unknown): ApiFailure {
  const refusal = refusalSchema.safeParse(error);
  if (refusal.success) return { kind: 'refused', ...refusal.data };
  if (!(error instanceof Error)) return { kind: 'network', code: '', message: String(error) };
  const { code } = error as NodeJS.ErrnoException;
  return { kind: 'network', code: typeof code === 'string' ? code : '', message: error.message };
}
