/**
 * One look of a server at cluster DNS: it asks its own, reads what the others say, renews its Lease, and knows
 * then what has to change. Who looks when, and makes the changes, is dns-endpoints.ts.
 */
import * as z from 'zod';
import type { Clock } from '../kernel/clock.ts';
import { readLabelled, type Labelled } from './api-objects.ts';
import {
  afterLook,
  isSteady,
  leaseName,
  leasesOfDns,
  leasesPath,
  renewedLease,
  silentNodes,
  type DnsLease,
  type DnsWatch,
} from './dns-leases.ts';
import { changesOfSlices, nodeOf, serverOf, slicesOfDns, type DnsSlice, type SliceChange } from './dns-slices.ts';
import { isConflict, unlessMissing, type KubeClient } from './kube-client.ts';
import { readNode } from './node-ready.ts';

export type DnsClient = Pick<KubeClient, 'get' | 'apply'> & Disposable;

export interface DnsLookPorts {
  /** Of this machine. */
  readonly nodeName: string;
  /** Whether the server (host:port) answers a question, in a time of its own. */
  readonly isAnswering: (server: string, signal: AbortSignal) => Promise<boolean>;
  /** Whether this machine leaves, or has left, by its own will: see dns-leaving.ts. */
  readonly isLeaving: () => Promise<boolean>;
  readonly clock: Clock;
}

export interface DnsLook {
  readonly watch: DnsWatch;
  readonly isAlone: boolean;
  readonly changes: readonly SliceChange[];
  /** What did not end it. */
  readonly problems: string[];
}

/** @throws when the API does not tell or takes what everything depends on */
export async function lookAround(
  client: DnsClient,
  before: DnsWatch,
  ports: DnsLookPorts,
  signal: AbortSignal,
): Promise<DnsLook> {
  const { nodeName, clock, isLeaving } = ports;
  const problems: string[] = [];
  const list = <T>(what: Labelled<T>): Promise<T[]> =>
    readLabelled(client, what, signal, (error) => {
      problems.push(`what cluster DNS is known by cannot be read: ${z.prettifyError(error).replaceAll('\n', ' ')}`);
    });

  const startedMs = clock.monotonicMs();
  const slices = await list(slicesOfDns);
  // Before its own slice is there it is about to begin beside others.
  const isAlone = slices.every((slice) => nodeOf(slice) === nodeName);
  const own = isAlone ? undefined : ownServer(slices, nodeName);
  const [leases, nodes, answers] = await Promise.all([
    isAlone ? [] : list(leasesOfDns),
    nodesOf(slices, client, signal),
    own !== undefined && isOwnAnswering(own, ports, signal, problems),
  ]);
  // One that has never answered has a Lease, too: else nobody would ever find it silent.
  const isNew = own !== undefined && !leases.some(({ metadata }) => metadata.name === leaseName(nodeName));
  if (answers || isNew) await renew(leases, client, ports, signal);
  const watch = afterLook(before, { leases, hasRenewed: answers, endedMs: clock.monotonicMs() });
  const changes = changesOfSlices({
    nodeName,
    slices,
    nodes,
    leased: new Set([...watch.renewals.keys(), ...(answers ? [nodeName] : [])]),
    silent: silentNodes(watch, startedMs),
    isSteady: isSteady(watch, startedMs),
    // Last of all: who leaves sets it before he says so, and what he has said by then was not yet read.
    isLeaving: await isLeaving(),
  });
  return { watch, isAlone, changes, problems };
}

async function nodesOf(
  slices: readonly DnsSlice[],
  client: DnsClient,
  signal: AbortSignal,
): Promise<Map<string, boolean>> {
  const names = new Set(slices.map(nodeOf).filter((name) => name !== undefined));
  const asked = [...names].map(async (name) => {
    const node = await unlessMissing(client.get(`/api/v1/nodes/${name}`, signal));
    return node === undefined ? [] : [[name, readNode(node).ready] as const];
  });
  return new Map((await Promise.all(asked)).flat());
}

/** A server without an API has no cluster DNS. */
function ownServer(slices: readonly DnsSlice[], nodeName: string): string | undefined {
  const own = slices.find((slice) => nodeOf(slice) === nodeName);
  return own && serverOf(own);
}

async function isOwnAnswering(
  server: string,
  { isAnswering }: DnsLookPorts,
  signal: AbortSignal,
  problems: string[],
): Promise<boolean> {
  const answers = await isAnswering(server, signal);
  if (!answers) problems.push(`cluster DNS of this machine does not answer at ${server}`);
  return answers;
}

async function renew(
  leases: readonly DnsLease[],
  client: DnsClient,
  { nodeName, clock }: DnsLookPorts,
  signal: AbortSignal,
): Promise<void> {
  const name = leaseName(nodeName);
  const version = leases.find(({ metadata }) => metadata.name === name)?.metadata.resourceVersion;
  try {
    await client.apply(`${leasesPath}/${name}`, renewedLease(nodeName, version, clock.wallMs()), signal);
  } catch (error) {
    // It was renewed meanwhile, by what puts this server in when it starts.
    if (!isConflict(error)) throw error;
  }
}
