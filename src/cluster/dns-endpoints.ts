/**
 * Keeps pods from asking cluster DNS of a server that is down. Every server has put itself into the
 * Service `kube-dns` by a slice of its own (cluster-dns.ts), and nobody of Kubernetes looks after
 * slices that people make; so every server looks after those of all. Each renews a Lease as long as
 * its own DNS answers, and all read those: Kubernetes takes 50 s and more to call a dead Node not Ready.
 *
 * Not here: what Leases say (dns-leases.ts), and what has to change (dns-slices.ts).
 */
import * as z from 'zod';
import { linkedAbort } from '../kernel/abort.ts';
import { sleep, type Clock } from '../kernel/clock.ts';
import { messageOf } from '../kernel/message-of.ts';
import { saidOnce } from '../kernel/said-once.ts';
import {
  afterFailure,
  afterLook,
  isSteady,
  leaseName,
  leaseSchema,
  leaseSelector,
  leasesPath,
  nothingSeen,
  renewedLease,
  silentNodes,
  type DnsLease,
  type DnsWatch,
} from './dns-leases.ts';
import {
  changedSlice,
  changesOfSlices,
  changeText,
  nodeOf,
  serverOf,
  sliceSchema,
  sliceSelector,
  slicesPath,
  type DnsSlice,
  type SliceChange,
} from './dns-slices.ts';
import { KubeApiError, unlessMissing, type KubeClient } from './kube-client.ts';
import { readNode } from './node-ready.ts';

type Client = Pick<KubeClient, 'get' | 'apply'> & Disposable;

export interface DnsEndpointsPorts {
  /** Of this machine. */
  readonly nodeName: string;
  readonly connect: () => Promise<Client>;
  /** Whether the server (host:port) answers a question, in a time of its own. */
  readonly isAnswering: (server: string, signal: AbortSignal) => Promise<boolean>;
  readonly clock: Clock;
  /** [0, 1): the servers look at different times. */
  readonly random: () => number;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

const everyMs = 2_000;
/** The API was away: whoever is back soon is not taken for silent. */
const againMs = 1_000;
/** As long as there is one server there is nobody to choose from. */
const aloneMs = 10_000;
/** The API may hang where its leader of etcd has just died. */
const lookWithinMs = 3_000;

const listSchema = z.object({ items: z.array(z.unknown()).nullish() });

/** Runs until `signal` aborts, and then rejects with its reason. */
export async function keepDnsEndpoints(ports: DnsEndpointsPorts): Promise<never> {
  const { connect, clock, random, log, signal } = ports;
  const say = saidOnce(log);
  let watch = nothingSeen;
  let client: Client | undefined;
  let pauseMs = everyMs;
  try {
    for (;;) {
      await sleep(clock, pauseMs * (0.9 + 0.2 * random()), signal);
      try {
        client ??= await connect();
        const look = await lookAround(client, watch, ports);
        watch = look.watch;
        pauseMs = look.isAlone ? aloneMs : everyMs;
        say(look.problems.length === 0 ? undefined : look.problems.join('; '));
      } catch (error) {
        signal.throwIfAborted();
        watch = afterFailure(watch);
        pauseMs = againMs;
        // With other credentials, should they have been renewed.
        client?.[Symbol.dispose]();
        client = undefined;
        say(`cluster DNS cannot be looked after: ${messageOf(error)}`);
      }
    }
  } finally {
    client?.[Symbol.dispose]();
  }
}

interface Look {
  readonly watch: DnsWatch;
  readonly isAlone: boolean;
  /** What did not end it. */
  readonly problems: readonly string[];
}

/** @throws when the API does not tell or takes what everything depends on */
async function lookAround(client: Client, before: DnsWatch, ports: DnsEndpointsPorts): Promise<Look> {
  const { nodeName, clock } = ports;
  using limit = linkedAbort(ports.signal);
  using _timer = clock.timer(lookWithinMs, () => limit.abort(new Error('the API did not answer in time')));
  const { signal } = limit;
  const problems: string[] = [];
  const list = async <T>(path: string, selector: string, item: z.ZodType<T>): Promise<T[]> =>
    read(await client.get(`${path}?labelSelector=${encodeURIComponent(selector)}`, signal), item, problems);

  const startedMs = clock.monotonicMs();
  const slices = await list(slicesPath, sliceSelector, sliceSchema);
  const isAlone = slices.length < 2;
  const [leases, nodes, answers] = await Promise.all([
    isAlone ? [] : list(leasesPath, leaseSelector, leaseSchema),
    nodesOf(slices, client, signal),
    !isAlone && isOwnAnswering(slices, ports, signal, problems),
  ]);
  if (answers) await renew(leases, client, ports, signal);
  const watch = afterLook(before, { leases, hasRenewed: answers, endedMs: clock.monotonicMs() });
  const changes = changesOfSlices({
    nodeName,
    slices,
    nodes,
    leased: new Set([...watch.renewals.keys(), ...(answers ? [nodeName] : [])]),
    silent: silentNodes(watch, startedMs),
    isSteady: isSteady(watch, startedMs),
  });
  for (const change of changes) await make(change, client, ports, signal, problems);
  return { watch, isAlone, problems };
}

/** One that nobody can read hides no other. */
function read<T>(answer: unknown, item: z.ZodType<T>, problems: string[]): T[] {
  return (listSchema.parse(answer).items ?? []).flatMap((each) => {
    const parsed = item.safeParse(each);
    if (parsed.success) return [parsed.data];
    problems.push(
      `what cluster DNS is known by cannot be read: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`,
    );
    return [];
  });
}

async function nodesOf(
  slices: readonly DnsSlice[],
  client: Client,
  signal: AbortSignal,
): Promise<Map<string, boolean>> {
  const names = new Set(slices.map(nodeOf).filter((name) => name !== undefined));
  const asked = [...names].map(async (name) => {
    const node = await unlessMissing(client.get(`/api/v1/nodes/${name}`, signal));
    return node === undefined ? [] : [[name, readNode(node).ready] as const];
  });
  return new Map((await Promise.all(asked)).flat());
}

async function isOwnAnswering(
  slices: readonly DnsSlice[],
  { nodeName, isAnswering }: DnsEndpointsPorts,
  signal: AbortSignal,
  problems: string[],
): Promise<boolean> {
  const own = slices.find((slice) => nodeOf(slice) === nodeName);
  const server = own && serverOf(own);
  // A server without an API has no cluster DNS.
  if (server === undefined) return false;
  const answers = await isAnswering(server, signal);
  if (!answers) problems.push(`cluster DNS of this machine does not answer at ${server}`);
  return answers;
}

async function renew(
  leases: readonly DnsLease[],
  client: Client,
  { nodeName, clock }: DnsEndpointsPorts,
  signal: AbortSignal,
): Promise<void> {
  const name = leaseName(nodeName);
  const version = leases.find(({ metadata }) => metadata.name === name)?.metadata.resourceVersion;
  await client.apply(`${leasesPath}/${name}`, renewedLease(nodeName, version, clock.wallMs()), signal);
}

async function make(
  change: SliceChange,
  client: Client,
  { log }: DnsEndpointsPorts,
  signal: AbortSignal,
  problems: string[],
): Promise<void> {
  const { name } = change.slice.metadata;
  try {
    await client.apply(`${slicesPath}/${name}`, changedSlice(change), signal);
    log(changeText(change));
  } catch (error) {
    if (!(error instanceof KubeApiError)) throw error;
    // Somebody was faster: the next look shows it.
    if (error.status !== 409) problems.push(`the slice ${name} cannot be changed: ${messageOf(error)}`);
  }
}
