/** What a call of etcd's API can fail with, told apart by what one can do about it. */
import { StartupError } from '../../error/startup-error.ts';
import { GrpcError, grpcStatus } from '../../probe/grpc-session.ts';
import { outcomeOf } from '../../probe/outcome.ts';

export type EtcdReason =
  /** No endpoint answers, or none in time: nothing is known about what happened. */
  | 'unavailable'
  | 'no-leader'
  | 'not-leader'
  | 'learner-not-ready'
  | 'not-learner'
  | 'too-many-learners'
  | 'member-not-found'
  /** Another member has one of these peer URLs, or this id. */
  | 'member-exists'
  /** The change would leave fewer members than the quorum needs, or some do not answer now. */
  | 'unhealthy'
  | 'not-for-learners'
  | 'no-space'
  | 'corrupt'
  /** Anything else that etcd says no with. */
  | 'refused';

export interface EtcdErrorDetail {
  readonly reason: EtcdReason;
  /** What each endpoint that was asked said, in order. */
  readonly endpoints: readonly { readonly endpoint: string; readonly outcome: string }[];
}

export class EtcdError extends StartupError<EtcdErrorDetail> {
  override readonly name = 'EtcdError';
  constructor(what: string, detail: EtcdErrorDetail, options?: ErrorOptions) {
    const told = detail.endpoints.map(({ endpoint, outcome }) => `${endpoint}: ${outcome}`).join('; ');
    super('ERR_ETCD', `cannot ${what}: ${told}`, detail, options);
  }
}

/** Beginnings of what etcd says. Source: etcd 3.6, api/v3rpc/rpctypes/error.go. */
const reasons: readonly (readonly [told: string, reason: EtcdReason])[] = [
  ['etcdserver: no leader', 'no-leader'],
  ['etcdserver: not leader', 'not-leader'],
  ['etcdserver: can only promote a learner member which is in sync', 'learner-not-ready'],
  ['etcdserver: can only promote a learner member', 'not-learner'],
  ['etcdserver: too many learner members', 'too-many-learners'],
  ['etcdserver: member not found', 'member-not-found'],
  ['etcdserver: member ID already exist', 'member-exists'],
  ['etcdserver: Peer URLs already exists', 'member-exists'],
  ['etcdserver: re-configuration failed due to not enough started members', 'unhealthy'],
  ['etcdserver: unhealthy cluster', 'unhealthy'],
  ['etcdserver: rpc not supported for learner', 'not-for-learners'],
  ['etcdserver: mvcc: database space exceeded', 'no-space'],
  ['etcdserver: corrupt cluster', 'corrupt'],
];

export function reasonOf(failure: unknown): EtcdReason {
  if (!(failure instanceof GrpcError)) return 'unavailable';
  const known = reasons.find(([told]) => failure.told.startsWith(told));
  if (known !== undefined) return known[1];
  return failure.status === grpcStatus.unavailable ? 'unavailable' : 'refused';
}

/** The outcome for people: without the name of the gRPC status, which repeats it. */
export function etcdOutcome(failure: unknown): string {
  return failure instanceof GrpcError && failure.told.startsWith('etcdserver: ')
    ? failure.told.slice('etcdserver: '.length)
    : outcomeOf(failure);
}
