/**
 * What a failed request to the API means for who holds a Lease, as one table (demand V7).
 *
 * - `transient`: it did not happen and may succeed at once: retried within the budget.
 * - `ambiguous`: it may have happened: retried too, but first the Lease is read.
 * - `permanent`: asking again does not help: withdraw in order, then ask slowly.
 * - `lost`: what was read says that the Lease is somebody else's: withdraw at once.
 *
 * The apiserver hands etcd's errors on as status 500 with etcd's own words (kubernetes#112152), so the
 * message has to be looked at. The first row that fits counts.
 *
 * Not here: how often and how long (retry-budget), what is done then (lease-machine).
 */

export const errorClasses = ['transient', 'ambiguous', 'permanent', 'lost'] as const;
export type ErrorClass = (typeof errorClasses)[number];

/** A request that failed, in the words of whoever made it. */
export type ApiFailure =
  | {
      readonly kind: 'refused';
      readonly status: number;
      readonly reason: string;
      readonly message: string;
      readonly retryAfterMs?: number | undefined;
    }
  /** No answer: `code` is that of Node.js ("ECONNREFUSED"), or empty. */
  | { readonly kind: 'network'; readonly code: string; readonly message: string }
  /** Our own limit of one call. */
  | { readonly kind: 'timeout'; readonly afterMs: number }
  /** No failure of the request: what it showed. */
  | { readonly kind: 'seen'; readonly what: 'another holder' | 'another Lease' | 'no Lease' };

export interface ErrorRow {
  readonly class: ErrorClass;
  readonly kind: ApiFailure['kind'];
  readonly status?: readonly number[];
  /** Any of these in the message, or (network) the code. */
  readonly says?: readonly string[];
  readonly why: string;
  /** Permanent, but retried within the budget, since it costs nothing while the Lease is good. */
  readonly isPatient?: true;
}

/**
 * Sources of the messages: etcd `api/v3rpc/rpctypes/error.go`; Kubernetes `apimachinery/pkg/api/errors`
 * and `apiserver/pkg/storage/etcd3`; gRPC's status texts; Node.js system errors.
 */
export const errorRows: readonly ErrorRow[] = [
  { kind: 'seen', class: 'lost', why: 'a read shows that the Lease is not ours any more' },

  { kind: 'timeout', class: 'ambiguous', why: 'no answer in time: the write may have happened' },

  {
    kind: 'network',
    says: ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ENETDOWN', 'EADDRNOTAVAIL'],
    class: 'transient',
    why: 'no connection was made, so nothing was sent',
  },
  {
    kind: 'network',
    says: ['CERT_', 'UNABLE_TO_VERIFY', 'SELF_SIGNED', 'DEPTH_ZERO', 'ERR_TLS_CERT'],
    class: 'permanent',
    isPatient: true,
    why: 'the server cannot prove who it is; it may be restarting with other certificates',
  },
  {
    kind: 'network',
    says: ['before secure TLS connection was established'],
    class: 'transient',
    why: 'the connection ended in its handshake, so nothing was sent',
  },
  { kind: 'network', class: 'ambiguous', why: 'the connection broke: the write may have happened' },

  {
    kind: 'refused',
    says: ['etcdserver: too many requests'],
    class: 'transient',
    why: 'etcd took no more proposals',
  },
  {
    kind: 'refused',
    says: ['etcdserver: no leader', 'etcdserver: not leader', 'etcdserver: unhealthy cluster'],
    class: 'transient',
    why: 'etcd had nobody who could take a proposal',
  },
  {
    kind: 'refused',
    says: ['etcdserver: mvcc: database space exceeded', 'etcdserver: corrupt cluster', 'etcdserver: corrupt alarm'],
    class: 'permanent',
    isPatient: true,
    why: 'etcd takes no writes until somebody mends it',
  },
  {
    kind: 'refused',
    says: ['etcdserver: request is too large', 'etcdserver: permission denied'],
    class: 'permanent',
    why: 'etcd will never take this write',
  },
  {
    kind: 'refused',
    says: [
      // Also with ", possibly due to previous leader failure" and ", possibly due to connection lost".
      'etcdserver: request timed out',
      'etcdserver: leader changed',
      'etcdserver: server stopped',
      'context deadline exceeded',
      'code = Unavailable',
      'transport is closing',
    ],
    class: 'ambiguous',
    why: 'etcd had the proposal and did not say what became of it',
  },

  {
    kind: 'refused',
    status: [408, 504],
    class: 'ambiguous',
    why: 'the apiserver did not wait for the end of the write',
  },
  { kind: 'refused', status: [409], class: 'ambiguous', why: 'the version is not ours: perhaps by our own lost write' },
  { kind: 'refused', status: [425, 429, 503], class: 'transient', why: 'the apiserver is busy, starting or stopping' },
  {
    kind: 'refused',
    status: [401, 403],
    class: 'permanent',
    isPatient: true,
    why: 'no permission; an apiserver that starts says so too until it knows its roles (kube-vip#1464)',
  },
  { kind: 'refused', status: [404], class: 'permanent', why: 'the namespace or the kind is not there' },
  { kind: 'refused', status: [400, 405, 406, 410, 413, 415, 422], class: 'permanent', why: 'the request is wrong' },
  { kind: 'refused', class: 'ambiguous', why: 'the server failed: what it had done by then is not known' },
];

export interface Verdict {
  readonly class: ErrorClass;
  /** Whether it is worth another try while the budget lasts. */
  readonly mayRetry: boolean;
  readonly why: string;
  /** One line for people. */
  readonly text: string;
  /** Somebody wrote first; what is there now can be read at once. */
  readonly isConflict: boolean;
  /** The server's wish; it never lengthens the budget. */
  readonly retryAfterMs?: number | undefined;
}

/** Pure. Every failure has a class: the last row of each kind has no condition. */
export function classify(failure: ApiFailure): Verdict {
  const row = errorRows.find((each) => fits(each, failure));
  if (row === undefined) throw new Error(`internal error: no row for a failure of kind ${failure.kind}`);
  const { class: errorClass, why, isPatient = false } = row;
  return {
    class: errorClass,
    mayRetry: errorClass === 'transient' || errorClass === 'ambiguous' || isPatient,
    why,
    text: failureText(failure),
    isConflict: failure.kind === 'refused' && failure.status === 409,
    ...(failure.kind === 'refused' && failure.retryAfterMs !== undefined ? { retryAfterMs: failure.retryAfterMs } : {}),
  };
}

function fits({ kind, status, says }: ErrorRow, failure: ApiFailure): boolean {
  if (kind !== failure.kind) return false;
  if (status !== undefined && (failure.kind !== 'refused' || !status.includes(failure.status))) return false;
  if (says === undefined) return true;
  const text = said(failure);
  return says.some((each) => text.includes(each));
}

function said(failure: ApiFailure): string {
  if (failure.kind === 'refused') return failure.message;
  return failure.kind === 'network' ? `${failure.code} ${failure.message}` : '';
}

function failureText(failure: ApiFailure): string {
  switch (failure.kind) {
    case 'refused':
      return failure.message.includes(String(failure.status))
        ? failure.message
        : `${String(failure.status)} ${failure.message}`.trim();
    case 'network':
      return failure.message === '' ? failure.code : failure.message;
    case 'timeout':
      return `no answer within ${String(Math.round(failure.afterMs))} ms`;
    case 'seen':
      return failure.what;
  }
}
