/**
 * Keeps pods from asking cluster DNS of a server that is down. Every server has put itself into the
 * Service `kube-dns` by a slice of its own (cluster-dns.ts), and nobody of Kubernetes looks after
 * slices that people make; so every server looks after those of all. Each renews a Lease as long as
 * its own DNS answers, and all read those: Kubernetes takes 50 s and more to call a dead Node not Ready.
 *
 * Not here: one look (dns-look.ts), what Leases say (dns-leases.ts), what has to change (dns-slices.ts), and how
 * a server comes and goes by its own will (dns-membership.ts).
 */
import { jitteredMs } from '../kernel/backoff.ts';
import { sleep } from '../kernel/clock.ts';
import { messageOf } from '../kernel/message-of.ts';
import { saidOnce } from '../kernel/said-once.ts';
import { apiInTime } from './api-in-time.ts';
import { isTooSlow, nothingSeen } from './dns-leases.ts';
import { lookAround, type DnsClient, type DnsLook, type DnsLookPorts } from './dns-look.ts';
import { changedSlice, changeText, nodeOf, slicesPath } from './dns-slices.ts';
import { isConflict, KubeApiError } from './kube-client.ts';

export interface DnsEndpointsPorts extends DnsLookPorts {
  readonly connect: () => Promise<DnsClient>;
  /** [0, 1): the servers look at different times. */
  readonly random: () => number;
  readonly log: (line: string) => void;
  /** What a person should know for as long as it is so; empty when it is over. */
  readonly warn: (text: string) => void;
  readonly signal: AbortSignal;
}

const everyMs = 2_000;
/** The API was away: whoever is back soon is not taken for silent. */
const againMs = 1_000;
/** As long as there is one server there is nobody to choose from. */
const aloneMs = 10_000;
/** The API may hang where its leader of etcd has just died. For a look, and then for what has to change. */
const lookWithinMs = 3_000;
/** Without figures: it is told once for as long as it is so. */
const tooSlow =
  'the API takes 2 s and more for a look at cluster DNS: servers whose DNS is lost are asked until their Nodes are not Ready';

/** Runs until `signal` aborts, and then rejects with its reason. */
export async function keepDnsEndpoints(ports: DnsEndpointsPorts): Promise<never> {
  const { connect, isLeaving, clock, random, log, warn, signal } = ports;
  const say = saidOnce(log);
  const limit = { limitMs: lookWithinMs, clock, signal };
  let watch = nothingSeen;
  let client: DnsClient | undefined;
  let pauseMs = everyMs;
  let warned = '';
  try {
    for (;;) {
      await sleep(clock, jitteredMs(pauseMs, 0.1, random), signal);
      try {
        const api = (client ??= await connect());
        const look = await apiInTime(limit, (end) => lookAround(api, watch, ports, end));
        // Alone it looks seldom, and sees nobody.
        watch = look.isAlone ? nothingSeen : look.watch;
        const warning = isTooSlow(watch) ? tooSlow : '';
        if (warning !== warned) warn(warning);
        warned = warning;
        pauseMs = look.isAlone ? aloneMs : everyMs;
        const isPutBack = await apiInTime(limit, (end) => makeAll(look, api, ports, end));
        // It left while that was written: it cannot have seen it, and the next look takes it back.
        if (isPutBack && (await isLeaving())) pauseMs = 0;
        say(look.problems.length === 0 ? undefined : look.problems.join('; '));
      } catch (error) {
        signal.throwIfAborted();
        watch = nothingSeen;
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

/** Whether this machine is asked again by it. */
async function makeAll(
  { changes, problems }: DnsLook,
  client: DnsClient,
  { nodeName, isLeaving, log }: DnsEndpointsPorts,
  signal: AbortSignal,
): Promise<boolean> {
  let isPutBack = false;
  for (const change of changes) {
    const { name } = change.slice.metadata;
    const isOwnReturn = change.ready && nodeOf(change.slice) === nodeName;
    // It may have begun to leave since the look.
    if (isOwnReturn && (await isLeaving())) continue;
    isPutBack ||= isOwnReturn;
    try {
      await client.apply(`${slicesPath}/${name}`, changedSlice(change), signal);
      log(changeText(change));
    } catch (error) {
      // Somebody was faster: the next look shows it.
      if (isConflict(error)) continue;
      if (!(error instanceof KubeApiError)) throw error;
      problems.push(`the slice ${name} cannot be changed: ${messageOf(error)}`);
    }
  }
  return isPutBack;
}
