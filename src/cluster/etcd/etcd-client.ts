/**
 * The calls of etcd's own API that a cluster needs: members, status, leadership, alarms, snapshots,
 * and a key or two. Over TLS with a client certificate, one connection for each call: they are few.
 *
 * Not here: watching keys and leases (nothing of ours waits on etcd's data), authentication by password.
 */
import { grpcStream } from '../../probe/grpc-stream.ts';
import { grpcUnary } from '../../probe/grpc-unary.ts';
import { callEtcd, type EtcdCall, type EtcdConnection, type EtcdEndpoints } from './etcd-endpoints.ts';
import {
  addedOf,
  addRequest,
  alarmsOf,
  alarmsRequest,
  idRequest,
  keysOf,
  keysRequest,
  listRequest,
  membersOf,
  putRequest,
  rangeRequest,
  snapshotPartOf,
  statusOf,
  updateRequest,
  valueOf,
  type EtcdAlarm,
  type EtcdMember,
  type EtcdStatus,
  type MemberId,
  type SnapshotPart,
} from './etcd-messages.ts';

export interface EtcdClient {
  /** From the quorum; with `isLocal` what the first member that answers knows, also without a quorum. */
  memberList(signal: AbortSignal, options?: { readonly isLocal?: boolean }): Promise<readonly EtcdMember[]>;
  /** The member is then to be started with `--initial-cluster-state=existing` and all these members. */
  memberAdd(
    options: { readonly peerUrls: readonly string[]; readonly isLearner: boolean },
    signal: AbortSignal,
  ): Promise<{ readonly member: EtcdMember; readonly members: readonly EtcdMember[] }>;
  /** Makes a learner a voter. @throws EtcdError "learner-not-ready" until it is in sync with the leader */
  memberPromote(id: MemberId, signal: AbortSignal): Promise<readonly EtcdMember[]>;
  memberRemove(id: MemberId, signal: AbortSignal): Promise<readonly EtcdMember[]>;
  memberUpdate(id: MemberId, peerUrls: readonly string[], signal: AbortSignal): Promise<readonly EtcdMember[]>;
  /** Of the member at `endpoint`, one of any. Answered without a quorum too. */
  status(endpoint: string, signal: AbortSignal): Promise<EtcdStatus>;
  /** Finds the leader among the endpoints and makes it hand over. */
  moveLeader(to: MemberId, signal: AbortSignal): Promise<void>;
  alarms(signal: AbortSignal): Promise<readonly EtcdAlarm[]>;
  /**
   * Everything that one member holds, in parts and in order; the file that they make ends in a hash of itself.
   *
   * @throws EtcdError; what has been handed over is then worth nothing
   */
  snapshot(take: (part: SnapshotPart) => Promise<void>, signal: AbortSignal): Promise<void>;
  /** The keys that begin so, as the member that answers has them; no quorum is needed. */
  keys(prefix: string, signal: AbortSignal): Promise<readonly string[]>;
  /** The value of a key, from the quorum. */
  get(key: string, signal: AbortSignal): Promise<string | undefined>;
  put(key: string, value: string, signal: AbortSignal): Promise<void>;
}

/** etcd itself gives up a read that needs the quorum after 5 s + 2 election timeouts (of 1 s). Source: etcd `ReqTimeout`. */
const readMs = 5000;
/** A change waits for the quorum's disks. Source: K3s gives MemberAdd 20 s. */
const changeMs = 20_000;
/** For the next part of a snapshot. */
const partMs = 30_000;

type Unary = Omit<EtcdCall<Uint8Array>, 'perform'>;
const read = (what: string): Unary => ({ what, isIdempotent: true, answerMs: readMs });
const change = (what: string, isIdempotent = false): Unary => ({ what, isIdempotent, answerMs: changeMs });

export function etcdClient(etcd: EtcdEndpoints): EtcdClient {
  const call = (
    method: `${'Cluster' | 'Maintenance' | 'KV'}/${string}`,
    message: Uint8Array,
    unary: Unary,
    signal: AbortSignal,
    at: EtcdEndpoints = etcd,
  ) => {
    const path = `/etcdserverpb.${method}`;
    const perform = (connection: EtcdConnection) => grpcUnary({ ...connection, path, message });
    return callEtcd(at, { ...unary, answerMs: etcd.requestMs ?? unary.answerMs, perform }, signal);
  };
  return {
    async memberList(signal, { isLocal = false } = {}) {
      return membersOf(
        await call('Cluster/MemberList', listRequest(!isLocal), read('list the members of etcd'), signal),
      );
    },
    async memberAdd({ peerUrls, isLearner }, signal) {
      const unary = change(`add ${peerUrls.join(', ')} to etcd`);
      return addedOf(await call('Cluster/MemberAdd', addRequest(peerUrls, isLearner), unary, signal));
    },
    async memberPromote(id, signal) {
      return membersOf(await call('Cluster/MemberPromote', idRequest(id), change(`promote etcd member ${id}`), signal));
    },
    async memberRemove(id, signal) {
      return membersOf(await call('Cluster/MemberRemove', idRequest(id), change(`remove etcd member ${id}`), signal));
    },
    async memberUpdate(id, peerUrls, signal) {
      const unary = change(`change etcd member ${id}`, true);
      return membersOf(await call('Cluster/MemberUpdate', updateRequest(id, peerUrls), unary, signal));
    },
    async status(endpoint, signal) {
      const at = { ...etcd, endpoints: [endpoint] };
      return statusOf(await call('Maintenance/Status', new Uint8Array(), read('ask etcd for its status'), signal, at));
    },
    async moveLeader(to, signal) {
      await call('Maintenance/MoveLeader', idRequest(to), change(`make etcd member ${to} the leader`), signal);
    },
    async alarms(signal) {
      return alarmsOf(await call('Maintenance/Alarm', alarmsRequest, read('ask etcd for its alarms'), signal));
    },
    snapshot: (take, signal) =>
      callEtcd(
        etcd,
        {
          what: 'save a snapshot of etcd',
          // Parts of two members do not make one file, so only what was not sent goes elsewhere.
          isIdempotent: false,
          answerMs: partMs,
          perform: (connection, alive) =>
            grpcStream(
              { ...connection, path: '/etcdserverpb.Maintenance/Snapshot', message: new Uint8Array() },
              async (message) => {
                alive();
                await take(snapshotPartOf(message));
              },
            ),
        },
        signal,
      ),
    async keys(prefix, signal) {
      return keysOf(await call('KV/Range', keysRequest(prefix), read(`list the keys of etcd in ${prefix}`), signal));
    },
    async get(key, signal) {
      return valueOf(await call('KV/Range', rangeRequest(key), read(`read ${key} from etcd`), signal));
    },
    async put(key, value, signal) {
      await call('KV/Put', putRequest(key, value), change(`write ${key} to etcd`, true), signal);
    },
  };
}
