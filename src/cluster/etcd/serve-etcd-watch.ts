/**
 * The service behind units/cluster/etcd-watch.yaml: looks at etcd's figures every few seconds, and
 * tells its supervisor what stands. Who the members are is kept elsewhere (members/keep-members.ts).
 */
import { sleep, type Clock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/message-of.ts';
import type { EtcdClient } from './etcd-client.ts';
import { foldLook, healthText, unknownHealth, warningOf, type EtcdLook } from './etcd-health.ts';
import type { EtcdMember } from './etcd-messages.ts';
import { readScrape } from './etcd-metrics.ts';

export interface ServeEtcdWatchOptions {
  readonly client: EtcdClient;
  /** The text of /metrics. */
  readonly scrape: (signal: AbortSignal) => Promise<string>;
  readonly clock: Clock;
  readonly log: (line: string) => void;
  /** To whoever supervises: "READY=1", "STATUS=…", "X_WARNING=…", "X_FIGURES=…". */
  readonly notify: (...lines: readonly string[]) => void;
  readonly signal: AbortSignal;
}

/** Often enough to be ahead of an election timeout of some seconds, seldom enough to cost nothing. */
const lookEveryMs = 2000;
/** The members are asked each so many looks: that costs a connection to each of them. */
const looksPerAsking = 5;

/** Runs until `signal` aborts, and then rejects with its reason. */
export async function serveEtcdWatch(options: ServeEtcdWatchOptions): Promise<never> {
  const { clock, scrape, log, notify, signal } = options;
  let health = unknownHealth;
  let warning = '';
  let lags: EtcdLook['lags'];
  // Beside the looks: a member that is silent takes seconds, in which the disk is to be seen all the same.
  let asking: Promise<void> | undefined;
  let isReady = false;
  for (let count = 0; ; count += 1) {
    if (count % looksPerAsking === 0) {
      asking ??= askMembers(options)
        .then((found) => (lags = found))
        .catch(() => undefined) // what is wrong with etcd is seen by its own figures
        .then(() => (asking = undefined));
    }
    try {
      const read = readScrape(await scrape(signal));
      if (read === undefined) throw new Error('/metrics has no figures of etcd');
      health = foldLook(health, { atMs: clock.monotonicMs(), scrape: read, ...(lags === undefined ? {} : { lags }) });
      lags = undefined;
      const told = warningOf(health);
      if (told !== warning) log(told === '' ? 'etcd is well again' : told);
      warning = told;
      const figures = Object.entries(health.figures).map(([name, value]) => `${name}=${String(value)}`);
      notify(
        ...(isReady ? [] : ['READY=1']),
        ...[`STATUS=${healthText(health)}`, `X_WARNING=${warning}`, `X_FIGURES=${figures.join(' ')}`],
      );
      isReady = true;
    } catch (error) {
      signal.throwIfAborted();
      // A gap in the figures must not count as a window.
      health = unknownHealth;
      notify(`STATUS=cannot look at etcd: ${messageOf(error)}`);
    }
    await sleep(clock, lookEveryMs, signal);
  }
}

/** @returns how far each is behind the leader; those that do not answer are left out */
async function askMembers({ client, signal }: ServeEtcdWatchOptions): Promise<EtcdLook['lags']> {
  const members = await client.memberList(signal);
  const answers = await Promise.all(members.map((member) => indexOf(client, member, signal)));
  const known = answers.filter((answer) => answer !== undefined);
  const newest = Math.max(0, ...known.map(({ raftIndex }) => raftIndex));
  return known.map(({ name, raftAppliedIndex }) => ({ name, entries: Math.max(0, newest - raftAppliedIndex) }));
}

async function indexOf(client: EtcdClient, { name, clientUrls }: EtcdMember, signal: AbortSignal) {
  const [endpoint] = clientUrls;
  if (endpoint === undefined) return undefined;
  try {
    const { raftIndex, raftAppliedIndex } = await client.status(endpoint, signal);
    return { name, raftIndex, raftAppliedIndex };
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}
