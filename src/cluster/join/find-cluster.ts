/**
 * Finds a server of the cluster and makes sure that it is one, before any credential leaves: its
 * authority is fetched from whichever server answers, compared with the token's hash, and then the
 * server has to prove that it holds a certificate of that authority.
 *
 * All servers are raced with a stagger. A network error is never final; whoever calls tries again.
 */
import { StartupError } from '../../error/startup-error.ts';
import type { Clock } from '../../kernel/clock.ts';
import { staggeredRace, type RaceFailure } from '../../kernel/staggered-race.ts';
import { joinRequest, type JoinLimits } from './join-request.ts';
import { originOf, type JoinUrl } from './server-url.ts';
import { caHashOf, sameSecret, type Token } from './token.ts';
import { paths } from './wire.ts';

/** Source: RFC 8305, the recommended delay between attempts. */
const staggerMs = 250;

export interface FindClusterOptions {
  /** In order of preference. */
  readonly urls: readonly JoinUrl[];
  readonly token: Token;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly limits?: JoinLimits;
  /** Told of each server that was asked and has answered or failed. Who was still silent when another won is not told of. */
  readonly onTried?: (tried: Tried) => void;
}

export type Tried =
  | { readonly url: JoinUrl; readonly ok: true; readonly tookMs: number }
  | { readonly url: JoinUrl; readonly ok: false; readonly reason: string };

export interface FoundCluster {
  /** Of the join server that answered. */
  readonly origin: string;
  /** Authority of the cluster's servers, PEM. */
  readonly authority: string;
  /** False: the token has no hash, and the first that answered was believed. */
  readonly isVerified: boolean;
  /** What the others said, one line for each: "https://a:9345: ECONNREFUSED". */
  readonly failures: readonly string[];
}

/**
 * @throws StartupError ERR_TOKEN when a server answered, and none belongs to the token's cluster;
 *   ERR_JOIN when none answered, with a reason for each; the reason of `signal`
 */
export async function findCluster(options: FindClusterOptions): Promise<FoundCluster> {
  const { urls, token, clock, signal, limits, onTried = () => undefined } = options;
  const result = await staggeredRace({
    candidates: urls,
    staggerMs,
    clock,
    signal,
    async attempt(url, end) {
      const begunMs = clock.monotonicMs();
      try {
        const found = await askServer(url, token, { clock, signal: end, ...(limits === undefined ? {} : { limits }) });
        onTried({ url, ok: true, tookMs: clock.monotonicMs() - begunMs });
        return found;
      } catch (error) {
        if (!end.aborted) onTried({ url, ok: false, reason: reasonOf(error) });
        throw error;
      }
    },
  });
  const failures = result.failures.map(describeFailure);
  if (result.ok) return { ...result.value, failures };
  const isStranger = result.failures.some(({ error }) => error instanceof StrangeAuthority);
  const list = failures.length === 0 ? 'no server was given' : failures.join('; ');
  throw isStranger
    ? new StartupError('ERR_TOKEN', `no server of the token’s cluster was found: ${list}`, { failures })
    : new StartupError('ERR_JOIN', `no server of the cluster can be asked: ${list}`, { failures });
}

/** Somebody answered who is not of this cluster. */
class StrangeAuthority extends Error {}

type Call = Pick<FindClusterOptions, 'clock' | 'signal' | 'limits'>;

/** The ports of one URL after another: the second is only for those that were written for K3s. */
async function askServer(url: JoinUrl, token: Token, call: Call): Promise<Omit<FoundCluster, 'failures'>> {
  const failures: string[] = [];
  let isStranger = false;
  for (const port of url.ports) {
    try {
      return await askOrigin(originOf(url.host, port), token, call);
    } catch (error) {
      if (call.signal.aborted) throw error;
      isStranger ||= error instanceof StrangeAuthority;
      failures.push(url.ports.length === 1 ? reasonOf(error) : `port ${String(port)}: ${reasonOf(error)}`);
    }
  }
  const why = failures.join(', ');
  throw isStranger ? new StrangeAuthority(why) : new Error(why);
}

async function askOrigin(origin: string, token: Token, call: Call): Promise<Omit<FoundCluster, 'failures'>> {
  const first = await joinRequest({ ...call, origin, path: paths.authority, authority: undefined });
  if (first.status !== 200)
    throw new Error(`it answers ${String(first.status)} and not with an authority: no join server`);
  const authority = first.body;
  let hash: string;
  try {
    hash = caHashOf(authority);
  } catch {
    throw new Error('it answers with something that is no authority: no join server');
  }
  if (token.caHash !== undefined && !sameSecret(hash, token.caHash)) {
    throw new StrangeAuthority(
      'its authority is not the one of the token: the token is of another cluster, or somebody is in between',
    );
  }
  const second = await joinRequest({ ...call, origin, path: paths.ping, authority }).catch((error: unknown) => {
    if (call.signal.aborted) throw error;
    throw new StrangeAuthority(`it gave an authority that its own certificate is not of (${reasonOf(error)})`);
  });
  if (second.status !== 200) throw new Error(`it answers ${String(second.status)} to ${paths.ping}`);
  return { origin, authority, isVerified: token.caHash !== undefined };
}

const describeFailure = ({ candidate, error }: RaceFailure<JoinUrl>): string =>
  `${candidate.given}: ${reasonOf(error)}`;

/** Node's code says it shorter than its message. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  return code === undefined || error instanceof StartupError ? error.message : code;
}
