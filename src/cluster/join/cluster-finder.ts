/**
 * Finds the cluster through whichever server it can: those that a person named and those that this
 * node has learned of, the most promising first (discovery/known-servers.ts). What each attempt
 * showed is remembered, over restarts too.
 *
 * One call is one round: who is in backoff is left out of it, unless nobody else is left. Whoever
 * calls tries again.
 */
import { StartupError } from '../../error/startup-error.ts';
import type { Clock } from '../../kernel/clock.ts';
import { addressOfUrl } from '../../probe/connection.ts';
import { knownServersText, readKnownServers } from '../discovery/known-servers-file.ts';
import {
  askingOrder,
  observed,
  withOthers,
  withServers,
  withTold,
  type KnownServers,
} from '../discovery/known-servers.ts';
import { noHeartbeats, type Heartbeats } from '../peers/peer-health.ts';
import { readIfThere, writeIfChanged } from '../../kernel/stored-file.ts';
import { findCluster, type FoundCluster, type Tried } from './find-cluster.ts';
import type { JoinLimits } from './join-request.ts';
import { originOf, type JoinUrl } from './server-url.ts';
import type { Token } from './token.ts';

export interface ClusterFinderOptions {
  /** Named by a person. */
  readonly urls: readonly JoinUrl[];
  /** Where the known servers are kept. */
  readonly file: string;
  readonly token: () => Promise<Token>;
  readonly clock: Clock;
  /** [0, 1): jitter of retries. */
  readonly random: () => number;
  readonly limits?: JoinLimits;
  /** What heartbeats of this node show; absent: none are kept. */
  readonly heartbeats?: () => Promise<Heartbeats>;
  readonly log: (line: string) => void;
}

export interface Finding {
  readonly cluster: FoundCluster;
  readonly token: Token;
}

export interface ClusterFinder {
  /** @throws StartupError ERR_JOIN or ERR_TOKEN with a reason for each server that was asked; the reason of `signal` */
  find(signal: AbortSignal): Promise<Finding>;
  /** Remembers servers that another one has told of. */
  learn(origins: readonly string[]): Promise<void>;
}

export function clusterFinder(options: ClusterFinderOptions): ClusterFinder {
  const { urls, file, clock, random, limits, log, heartbeats = () => Promise.resolve(noHeartbeats) } = options;
  let known: KnownServers | undefined;

  /** Read each time: another process of this node may have learned of servers meanwhile. */
  const load = async (): Promise<KnownServers> => {
    const read = readKnownServers(await readIfThere(file), clock.wallMs());
    if (read.ignored !== undefined && known === undefined) log(`${file} is not used: ${read.ignored}`);
    known = withOthers(known ?? withServers(read.known, urls.map(originOfUrl)), read.known);
    return known;
  };
  const save = () => writeIfChanged(file, knownServersText(known ?? []), 0o600);

  return {
    async find(signal) {
      const token = await options.token();
      const { candidates, resting } = roundOf(await load(), urls, clock.wallMs(), (await heartbeats()).lost);
      const onTried = ({ url, ...outcome }: Tried) => {
        known = observed(known ?? [], { origin: originOfUrl(url), ...outcome }, clock.wallMs(), random);
      };
      try {
        const cluster = await findCluster({
          urls: candidates,
          token,
          clock,
          signal,
          onTried,
          ...(limits === undefined ? {} : { limits }),
        });
        return { cluster, token };
      } catch (error) {
        throw withResting(error, resting);
      } finally {
        await load();
        await save();
      }
    },
    async learn(origins) {
      known = withTold(await load(), origins, clock.wallMs());
      await save();
    },
  };
}

/** By which one that was given is known: its port for joining comes last. */
function originOfUrl({ host, ports }: JoinUrl): string {
  return originOf(host, ports.at(-1) ?? 0);
}

interface Round {
  readonly candidates: readonly JoinUrl[];
  /** Left out because they are in backoff, with why: "https://a:9345: ECONNREFUSED (before)". */
  readonly resting: readonly string[];
}

function roundOf(known: KnownServers, urls: readonly JoinUrl[], nowMs: number, lost: readonly string[]): Round {
  const ordered = askingOrder(known, nowMs, lost);
  const due = ordered.filter(({ retryAtMs }) => (retryAtMs ?? 0) <= nowMs);
  const asked = due.length === 0 ? ordered : due;
  return {
    candidates: asked.map(({ origin }) => urls.find((url) => originOfUrl(url) === origin) ?? urlOf(origin)),
    resting: ordered
      .filter((one) => !asked.includes(one))
      .map(({ origin, lastError }) => `${origin}: ${lastError ?? 'it failed'} (before)`),
  };
}

/** Whoever reads the error wants a reason for each server, also for those that this round has spared. */
function withResting(error: unknown, resting: readonly string[]): unknown {
  if (!(error instanceof StartupError) || resting.length === 0) return error;
  return new StartupError(error.code, [error.message, ...resting].join('; '), error.detail, { cause: error.cause });
}

function urlOf(origin: string): JoinUrl {
  const { host, port } = addressOfUrl(new URL(origin));
  return { given: origin, host, ports: [port] };
}
