/**
 * Finds a server of the cluster and makes sure that it is one, before any credential leaves: its
 * authority is fetched from whichever server answers, compared with the token's hash, and then the
 * server has to prove that it holds a certificate of that authority, over which it is fetched again.
 *
 * All servers are raced with a stagger, and so are all addresses that a name stands for: behind one
 * name there may be several servers, and the first answer of DNS may be the dead one.
 *
 * A network error is never final; whoever calls tries again.
 */
import { isIP } from 'node:net';
import { StartupError } from '../../error/startup-error.ts';
import { abortable } from '../../kernel/abort.ts';
import type { Clock } from '../../kernel/clock.ts';
import { inTime } from '../../kernel/in-time.ts';
import { staggeredRace, type RaceFailure } from '../../kernel/staggered-race.ts';
import { defaultJoinLimits, joinRequest, type JoinCall, type JoinLimits } from './join-request.ts';
import { originOf, type JoinUrl } from './server-url.ts';
import { caHashOf, sameSecret, vouchedFor, type Token } from './token.ts';
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
  /** All addresses of a name, as the system resolves it. */
  readonly resolve?: (host: string) => Promise<readonly string[]>;
  /** Told of each server that was asked and has answered or failed. Who was still silent when another won is not told of. */
  readonly onTried?: (tried: Tried) => void;
}

export type Tried =
  | { readonly url: JoinUrl; readonly ok: true; readonly tookMs: number }
  | { readonly url: JoinUrl; readonly ok: false; readonly reason: string };

export interface FoundCluster {
  /** Of the join server that answered. */
  readonly origin: string;
  /** Which address of its name has answered; undefined when it was named by its address. */
  readonly connectTo?: string | undefined;
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
  const { urls, token, clock, signal, limits, resolve, onTried = () => undefined } = options;
  const around = { clock, ...(limits === undefined ? {} : { limits }), ...(resolve === undefined ? {} : { resolve }) };
  const result = await staggeredRace({
    candidates: urls,
    staggerMs,
    clock,
    signal,
    async attempt(url, end) {
      const begunMs = clock.monotonicMs();
      try {
        const found = await askServer(url, token, { ...around, signal: end });
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

type Call = Pick<FindClusterOptions, 'clock' | 'signal' | 'limits' | 'resolve'>;
type Answer = Omit<FoundCluster, 'failures'>;

/** All addresses of one URL, raced as the URLs are. */
async function askServer(url: JoinUrl, token: Token, call: Call): Promise<Answer> {
  const { clock, signal } = call;
  const addresses = await addressesOf(url.host, call);
  const [first = url.host] = addresses;
  if (addresses.length <= 1) return askPorts(url, first, token, call);
  const result = await staggeredRace({
    candidates: addresses,
    staggerMs,
    clock,
    signal,
    attempt: (address, end) => askPorts(url, address, token, { ...call, signal: end }),
  });
  if (result.ok) return result.value;
  const why = result.failures.map(({ candidate, error }) => `${candidate}: ${reasonOf(error)}`).join(', ');
  throw result.failures.some(({ error }) => error instanceof StrangeAuthority)
    ? new StrangeAuthority(why)
    : new Error(why);
}

/** @throws an Error that says that the name is not known, or not in time */
async function addressesOf(host: string, call: Call): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  const { clock, signal, limits = defaultJoinLimits, resolve = resolveName } = call;
  return await inTime({ limitMs: limits.connectMs, clock, signal }, 'its name is not resolved in time', (end) =>
    abortable(resolve(host), end),
  );
}

async function resolveName(host: string): Promise<readonly string[]> {
  const { lookup } = await import('node:dns/promises');
  const found = await lookup(host, { all: true });
  return [...new Set(found.map(({ address }) => address))];
}

/** The ports of one URL after another: the second is only for those that were written for K3s. */
async function askPorts(url: JoinUrl, address: string, token: Token, call: Call): Promise<Answer> {
  const connectTo = address === url.host ? undefined : address;
  const failures: string[] = [];
  let isStranger = false;
  for (const port of url.ports) {
    try {
      return await askOrigin({ origin: originOf(url.host, port), connectTo }, token, call);
    } catch (error) {
      if (call.signal.aborted) throw error;
      isStranger ||= error instanceof StrangeAuthority;
      failures.push(url.ports.length === 1 ? reasonOf(error) : `port ${String(port)}: ${reasonOf(error)}`);
    }
  }
  const why = failures.join(', ');
  throw isStranger ? new StrangeAuthority(why) : new Error(why);
}

interface Place {
  readonly origin: string;
  readonly connectTo: string | undefined;
}

async function askOrigin(place: Place, token: Token, call: Call): Promise<Answer> {
  const claimed = await authorityFrom({ ...call, ...place, authority: undefined });
  checkHash(claimed.hash, token);
  // Asked again by what the hash speaks for alone: what somebody in between has added is not believed.
  const proven = await authorityFrom({ ...call, ...place, authority: vouchedFor(claimed.text) }).catch(
    (error: unknown) => {
      if (call.signal.aborted) throw error;
      throw new StrangeAuthority(`it gave an authority that its own certificate is not of (${reasonOf(error)})`);
    },
  );
  checkHash(proven.hash, token);
  return { ...place, authority: proven.text, isVerified: token.caHash !== undefined };
}

async function authorityFrom(call: Omit<JoinCall, 'path'>): Promise<{ text: string; hash: string }> {
  const { status, body } = await joinRequest({ ...call, path: paths.authority });
  if (status !== 200) throw new Error(`it answers ${String(status)} and not with an authority: no join server`);
  try {
    return { text: body, hash: caHashOf(body) };
  } catch {
    throw new Error('it answers with something that is no authority: no join server');
  }
}

function checkHash(hash: string, { caHash }: Token): void {
  if (caHash === undefined || sameSecret(hash, caHash)) return;
  throw new StrangeAuthority(
    'its authority is not the one of the token: the token is of another cluster, or somebody is in between',
  );
}

const describeFailure = ({ candidate, error }: RaceFailure<JoinUrl>): string =>
  `${candidate.given}: ${reasonOf(error)}`;

/** Node's code says it shorter than its message. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  return code === undefined || error instanceof StartupError ? error.message : code;
}
