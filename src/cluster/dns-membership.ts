/**
 * How a server of several comes into cluster DNS and goes: pods are sent to it once its DNS has answered,
 * and no more before its DNS stops. Whoever dies without a word is taken out by the others (dns-endpoints.ts).
 *
 * So the objects that a start makes leave this server's slice as asked as it was: `cluster-dns` puts it in. From
 * `leave-cluster-dns` on, and until then, a mark (dns-leaving.ts) keeps this server's own look from doing so.
 */
import type { Builtin } from '../unit/builtin.ts';
import { sleep, type Clock } from '../kernel/clock.ts';
import { messageOf } from '../kernel/message-of.ts';
import { apiInTime } from './api-in-time.ts';
import { applyObjects, readLabelled, type Connect } from './api-objects.ts';
import { clusterDnsBuiltin, dnsObjects, ownSliceName } from './cluster-dns.ts';
import { dnsLeaving } from './dns-leaving.ts';
import { leaseName, leasesPath, renewedLease } from './dns-leases.ts';
import { changedSlice, isReady, nodeOf, slicesOfDns, slicesPath, type DnsSlice } from './dns-slices.ts';
import type { KubeClient } from './kube-client.ts';
import { layoutOf } from './layout.ts';
import type { Settings } from './settings.ts';

/** What cannot be said in this time is found out by whoever looks after it. */
const sayWithinMs = { true: 5_000, false: 2_000 };
/** Until the others' kube-proxies have heard of it. Source: their `minSyncPeriod`, 1 s. */
const lingerMs = 1_000;

export function dnsMemberBuiltins(
  settings: Settings,
  connect: Connect,
  clock: Clock,
): Record<'cluster-dns-objects' | 'cluster-dns' | 'leave-cluster-dns', Builtin> {
  const { nodeName } = settings;
  const ownName = ownSliceName(settings);
  const leaving = dnsLeaving(layoutOf(settings).dnsLeaving);

  const ownOf = (slices: readonly DnsSlice[]) => slices.find(({ metadata }) => metadata.name === ownName);
  /** Where nobody else is asked it changes nothing to leave. */
  const isAskedBesideOthers = (slices: readonly DnsSlice[]) => {
    const own = ownOf(slices);
    return own !== undefined && isReady(own) && slices.some((slice) => slice !== own && isReady(slice));
  };

  /** Whether it was changed. */
  const setAsked = async (isAsked: boolean, client: KubeClient, signal: AbortSignal): Promise<boolean> => {
    const slices = await readLabelled(client, slicesOfDns, signal);
    const own = ownOf(slices);
    if (own === undefined || (isAsked ? isReady(own) : !isAskedBesideOthers(slices))) return false;
    if (slices.length > 1) {
      // First of all: by the Lease of an earlier life others would take it out again at once, and without any they
      // would put it back for as long as its Node is Ready.
      const lease = renewedLease(nodeName, undefined, clock.wallMs());
      await client.apply(`${leasesPath}/${leaseName(nodeName)}`, lease, signal);
    }
    await client.apply(`${slicesPath}/${ownName}`, changedSlice({ slice: own, ready: isAsked }), signal);
    return true;
  };

  /** It may fail as well: then a stop may be taken back for as long as it lasts, and so may a start. */
  const noteLeaving = async (isLeaving: boolean, { log }: Pick<Parameters<Builtin>[0], 'log'>) => {
    await (isLeaving ? leaving.set() : leaving.clear()).catch((error: unknown) => {
      log(`cannot note whether this server leaves cluster DNS: ${messageOf(error)}`);
    });
  };

  /** False when the API does not tell. */
  const tryRead = async (test: (slices: readonly DnsSlice[]) => boolean, signal: AbortSignal) => {
    try {
      using client = await connect();
      const limit = { limitMs: sayWithinMs.false, clock, signal };
      return test(await apiInTime(limit, (end) => readLabelled(client, slicesOfDns, end)));
    } catch {
      signal.throwIfAborted();
      return false;
    }
  };

  /** It may fail: it is a matter of seconds, and must keep no server from starting or stopping. */
  const trySetAsked = async (isAsked: boolean, { signal, log }: Pick<Parameters<Builtin>[0], 'signal' | 'log'>) => {
    try {
      using client = await connect();
      const limit = { limitMs: sayWithinMs[`${isAsked}`], clock, signal };
      const isChanged = await apiInTime(limit, (end) => setAsked(isAsked, client, end));
      if (isChanged) log(`cluster DNS is ${isAsked ? 'asked here' : 'not asked here any more'}`);
      return isChanged;
    } catch (error) {
      signal.throwIfAborted();
      log(`cannot say whether cluster DNS is asked here: ${messageOf(error)}`);
      return false;
    }
  };

  const untilAnswering = clusterDnsBuiltin(settings, clock);
  return {
    'cluster-dns-objects': async ({ signal, log }) => {
      using client = await connect();
      const own = (await readLabelled(client, slicesOfDns, signal)).filter((slice) => nodeOf(slice) === nodeName);
      await applyObjects(client, dnsObjects(settings, own.some(isReady)), signal);
      // The first server has another name for it than one that joins: it may be told to join others later.
      for (const { metadata } of own.filter((slice) => slice.metadata.name !== ownName)) {
        await client.delete(`${slicesPath}/${metadata.name}`, signal);
        log(`the slice ${metadata.name} is not needed any more: this server's is ${ownName}`);
      }
      log(
        `kube-dns is ${settings.clusterDns}, answered by ${settings.nodeIp}:${String(settings.dnsPort)} once that answers`,
      );
    },
    'cluster-dns': async (context) => {
      await untilAnswering(context);
      await noteLeaving(false, context);
      await trySetAsked(true, context);
    },
    'leave-cluster-dns': async (context) => {
      // With the mark there, its own look may be the faster one to say it: the others have to hear of that, too.
      const wasAsked = await tryRead(isAskedBesideOthers, context.signal);
      // Before it is said: whoever reads what is said has the mark, too.
      await noteLeaving(true, context);
      if ((await trySetAsked(false, context)) || wasAsked) await sleep(clock, lingerMs, context.signal);
    },
  };
}
