/**
 * One call of etcd's API on the first endpoint that can answer it. A call that changes something goes
 * to another endpoint only when it was surely not performed: two MemberAdd make two members.
 */
import { linkedAbort } from '../../kernel/abort.ts';
import type { Clock } from '../../kernel/clock.ts';
import { formatDurationMs } from '../../kernel/duration.ts';
import { addressOfUrl } from '../../probe/connection.ts';
import type { GrpcCall } from '../../probe/grpc-session.ts';
import { ProbeFailure } from '../../probe/probe.ts';
import type { TlsFiles } from '../../probe/tls.ts';
import { EtcdError, etcdOutcome, reasonOf, type EtcdErrorDetail, type EtcdReason } from './etcd-error.ts';

export interface EtcdEndpoints {
  /** URLs of clients, like "https://127.0.0.1:2379", in the order in which they are tried. */
  readonly endpoints: readonly string[];
  /** Absent: plain text. */
  readonly tls?: TlsFiles | undefined;
  readonly clock: Clock;
  /** To connect to one endpoint, TLS included. Default: 2 s. Source: K3s dials etcd with that limit. */
  readonly connectMs?: number;
  /** For one endpoint's answer, instead of what each call has by default. */
  readonly requestMs?: number;
}

/** What one attempt may use: everything of a call but what it asks. */
export type EtcdConnection = Pick<GrpcCall, 'address' | 'tls' | 'signal' | 'onConnected'>;

export interface EtcdCall<T> {
  /** For errors: "list the members". */
  readonly what: string;
  /** True: it may be performed twice. */
  readonly isIdempotent: boolean;
  /** For one endpoint's answer, after the connection; `alive` (a part has come) begins it anew. */
  readonly answerMs: number;
  readonly perform: (connection: EtcdConnection, alive: () => void) => Promise<T>;
}

const defaultConnectMs = 2000;
/** Said before anything was done: another member may do it. */
const goesElsewhere: ReadonlySet<EtcdReason> = new Set(['no-leader', 'not-leader', 'not-for-learners']);

/** @throws {@link EtcdError} with what every endpoint said that was asked; the reason of `signal` */
export async function callEtcd<T>(etcd: EtcdEndpoints, call: EtcdCall<T>, signal: AbortSignal): Promise<T> {
  const outcomes: { endpoint: string; outcome: string }[] = [];
  let last: { failure: unknown; reason: EtcdReason } = { failure: undefined, reason: 'unavailable' };
  for (const endpoint of etcd.endpoints) {
    const attempt = await tryEndpoint(etcd, endpoint, call, signal);
    if ('value' in attempt) return attempt.value;
    signal.throwIfAborted();
    const reason = reasonOf(attempt.failure);
    outcomes.push({ endpoint, outcome: etcdOutcome(attempt.failure) });
    // What an endpoint that answers has said tells more than that the next one does not.
    if (last.failure === undefined || reason !== 'unavailable') last = { failure: attempt.failure, reason };
    const mayBeTried = !attempt.wasSent || goesElsewhere.has(reason) || (call.isIdempotent && reason === 'unavailable');
    if (!mayBeTried) break;
  }
  const detail: EtcdErrorDetail = { reason: last.reason, endpoints: outcomes };
  if (outcomes.length === 0) throw new EtcdError(`${call.what} (no endpoint is known)`, detail);
  throw new EtcdError(call.what, detail, { cause: last.failure });
}

type Attempt<T> = { readonly value: T } | { readonly failure: unknown; readonly wasSent: boolean };

async function tryEndpoint<T>(
  { tls, clock, connectMs = defaultConnectMs }: EtcdEndpoints,
  endpoint: string,
  { answerMs, perform }: EtcdCall<T>,
  signal: AbortSignal,
): Promise<Attempt<T>> {
  using linked = linkedAbort(signal);
  let wasSent = false;
  const limit = (ms: number) =>
    clock.timer(ms, () => {
      linked.abort(new ProbeFailure(`${wasSent ? 'no answer' : 'no connection'} within ${formatDurationMs(ms)}`));
    });
  let timer = limit(connectMs);
  const restart = () => {
    timer[Symbol.dispose]();
    timer = limit(answerMs);
  };
  const onConnected = () => {
    wasSent = true;
    restart();
  };
  try {
    const address = addressOfUrl(new URL(endpoint));
    return { value: await perform({ address, tls, signal: linked.signal, onConnected }, restart) };
  } catch (failure) {
    return { failure, wasSent };
  } finally {
    timer[Symbol.dispose]();
  }
}
