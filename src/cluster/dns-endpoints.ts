/**
 * Keeps pods from asking cluster DNS of a server that is down. Every server has put itself into the
 * Service `kube-dns` by a slice of its own (cluster-dns.ts), and nobody of Kubernetes looks after
 * slices that people make; so every server looks after those of all (dns-slices.ts says what has to
 * change): it asks each of them a question every second, as a pod would, and looks up whether its Node
 * is Ready. Kubernetes takes 50 s and more to call a dead Node not Ready; silence is known after two.
 */
import * as z from 'zod';
import { linkedAbort } from '../kernel/abort.ts';
import { sleep, type Clock } from '../kernel/clock.ts';
import { changedSlice, changesOfSlices, changeText, serverOf, sliceSchema, type Hearing } from './dns-slices.ts';
import type { KubeClient } from './kube-client.ts';
import { readNode } from './node-ready.ts';

const path = '/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices';
const ours = 'kubernetes.io/service-name=kube-dns,app.kubernetes.io/managed-by=k3s-lite';

const listOf = <T>(item: z.ZodType<T>) => z.object({ items: z.array(item).nullish() });
const named = z.looseObject({ metadata: z.object({ name: z.string() }) });

export interface DnsEndpointsPorts {
  /** Of this machine. */
  readonly nodeName: string;
  readonly connect: () => Promise<Pick<KubeClient, 'get' | 'apply'> & Disposable>;
  /** Whether the server (host:port) answers a question, in a time of its own. */
  readonly isAnswering: (server: string, signal: AbortSignal) => Promise<boolean>;
  readonly clock: Clock;
  /** [0, 1): the servers look at different times. */
  readonly random: () => number;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

const askEveryMs = 1_000;
/** While all answer as before. A Node is given up 40 s after its last word; another 10 s do not matter. */
const lookEveryMs = 10_000;
/** The API may hang where its leader of etcd has just died; the next look goes to one that lives. */
const lookWithinMs = 3_000;

interface Heard {
  readonly server: string;
  readonly hearing: Hearing;
}

/** Runs until `signal` aborts, and then rejects with its reason. */
export async function keepDnsEndpoints(ports: DnsEndpointsPorts): Promise<never> {
  const { clock, random, signal } = ports;
  let known: ReadonlyMap<string, Heard> = new Map();
  let lookAtMs = clock.monotonicMs() + lookEveryMs * random();
  for (;;) {
    await sleep(clock, askEveryMs * (0.8 + 0.4 * random()), signal);
    const heard = await ask(known, ports);
    // Whatever is new is looked at until that has worked.
    if ([...heard].some(([name, { hearing }]) => known.get(name)?.hearing !== hearing)) lookAtMs = -Infinity;
    known = heard;
    if (clock.monotonicMs() < lookAtMs) continue;
    try {
      known = await look(known, ports);
      lookAtMs = clock.monotonicMs() + lookEveryMs * (0.8 + 0.4 * random());
    } catch {
      signal.throwIfAborted();
      // No API: nobody is told anything by it either. The next look comes soon.
    }
  }
}

async function ask(
  known: ReadonlyMap<string, Heard>,
  { isAnswering, signal }: DnsEndpointsPorts,
): Promise<ReadonlyMap<string, Heard>> {
  const asked = [...known].map(async ([name, { server, hearing }]) => {
    // Twice: one packet may be lost.
    const isHeard = (await isAnswering(server, signal)) || (await isAnswering(server, signal));
    const next: Hearing = isHeard ? 'answers' : hearing === 'answers' ? 'silent' : hearing;
    return [name, { server, hearing: next }] as const;
  });
  return new Map(await Promise.all(asked));
}

/** @returns whom to ask from now on */
async function look(known: ReadonlyMap<string, Heard>, ports: DnsEndpointsPorts): Promise<ReadonlyMap<string, Heard>> {
  const { nodeName, connect, clock, log } = ports;
  using limit = linkedAbort(ports.signal);
  using _timer = clock.timer(lookWithinMs, () => limit.abort(new Error('the API did not answer in time')));
  using client = await connect();
  const [listed, nodes] = await Promise.all([
    client.get(`${path}?labelSelector=${encodeURIComponent(ours)}`, limit.signal),
    client.get('/api/v1/nodes', limit.signal),
  ]);
  const slices = listOf(sliceSchema).parse(listed).items ?? [];
  const isReady = new Map(
    (listOf(named).parse(nodes).items ?? []).map((node) => [node.metadata.name, readNode(node).ready] as const),
  );
  const heard = new Map([...known].map(([name, { hearing }]) => [name, hearing]));
  for (const change of changesOfSlices({ slices, nodes: isReady, heard, nodeName })) {
    await client.apply(`${path}/${change.slice.metadata.name}`, changedSlice(change), limit.signal);
    log(changeText(change));
  }
  return new Map(
    slices.flatMap((slice) => {
      const server = serverOf(slice);
      const before = known.get(slice.metadata.name);
      // Another address is another server.
      const hearing = before?.server === server ? (before?.hearing ?? 'unknown') : 'unknown';
      return server === undefined ? [] : [[slice.metadata.name, { server, hearing }] as const];
    }),
  );
}
