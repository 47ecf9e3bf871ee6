/**
 * The messages of etcd's API that we send and read, as their fields on the wire. Pure.
 * Source: etcd 3.6, api/etcdserverpb/rpc.proto (field numbers).
 */
import {
  bytesField,
  decodeFields,
  integerOf,
  repeatedOf,
  stringOf,
  unsignedOf,
  varintField,
  type ProtobufField,
} from '../../probe/protobuf.ts';

/** Sixteen hexadecimal digits or fewer, as etcdctl prints them: 64 bits are too many for a number. */
export type MemberId = string;

export interface EtcdMember {
  readonly id: MemberId;
  /** Empty until the member has been started for the first time. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  /** Empty until the member has been started for the first time. */
  readonly clientUrls: readonly string[];
  readonly isLearner: boolean;
}

/** What one member says of itself. */
export interface EtcdStatus {
  readonly clusterId: string;
  readonly memberId: MemberId;
  readonly version: string;
  readonly dbSizeBytes: number;
  /** What is left when free pages are not counted. */
  readonly dbInUseBytes: number;
  /** 0 from members before 3.6. */
  readonly dbQuotaBytes: number;
  /** Absent: it knows of no leader. */
  readonly leader: MemberId | undefined;
  readonly revision: number;
  readonly raftTerm: number;
  readonly raftIndex: number;
  readonly raftAppliedIndex: number;
  readonly isLearner: boolean;
  readonly errors: readonly string[];
}

export interface EtcdAlarm {
  readonly memberId: MemberId;
  readonly alarm: 'NOSPACE' | 'CORRUPT' | 'NONE';
}

const memberIdOf = (fields: readonly ProtobufField[], number: number): MemberId =>
  unsignedOf(fields, number).toString(16);
const idField = (number: number, id: MemberId): Uint8Array => varintField(number, BigInt(`0x${id}`));
const textOf = (value: Uint8Array): string => Buffer.from(value).toString('utf8');

function memberOf(message: Uint8Array): EtcdMember {
  const fields = decodeFields(message);
  return {
    id: memberIdOf(fields, 1),
    name: stringOf(fields, 2),
    peerUrls: repeatedOf(fields, 3).map(textOf),
    clientUrls: repeatedOf(fields, 4).map(textOf),
    isLearner: integerOf(fields, 5) === 1,
  };
}

/** The members of MemberList, MemberRemove, MemberPromote and MemberUpdate (field 2) or MemberAdd (field 3). */
export function membersOf(answer: Uint8Array, number: 2 | 3 = 2): readonly EtcdMember[] {
  return repeatedOf(decodeFields(answer), number).map(memberOf);
}

export function addRequest(peerUrls: readonly string[], isLearner: boolean): Uint8Array {
  return Buffer.concat([...peerUrls.map((url) => bytesField(1, url)), varintField(2, isLearner)]);
}

/** @throws an Error when etcd answers without the member that it has added */
export function addedOf(answer: Uint8Array): { member: EtcdMember; members: readonly EtcdMember[] } {
  const [added] = repeatedOf(decodeFields(answer), 2);
  if (added === undefined) throw new Error('etcd answers without the member that was added');
  return { member: memberOf(added), members: membersOf(answer, 3) };
}

/** `linearizable`: asked of the quorum, not of what this member knows. */
export const listRequest = (linearizable: boolean): Uint8Array => varintField(1, linearizable);
/** Of MemberRemove, MemberPromote and MoveLeader. */
export const idRequest = (id: MemberId): Uint8Array => idField(1, id);
export const updateRequest = (id: MemberId, peerUrls: readonly string[]): Uint8Array =>
  Buffer.concat([idField(1, id), ...peerUrls.map((url) => bytesField(2, url))]);

export function statusOf(answer: Uint8Array): EtcdStatus {
  const fields = decodeFields(answer);
  const header = decodeFields(repeatedOf(fields, 1)[0] ?? new Uint8Array());
  const leader = unsignedOf(fields, 4);
  return {
    clusterId: memberIdOf(header, 1),
    memberId: memberIdOf(header, 2),
    version: stringOf(fields, 2),
    dbSizeBytes: integerOf(fields, 3),
    dbInUseBytes: integerOf(fields, 9),
    dbQuotaBytes: integerOf(fields, 12),
    leader: leader === 0n ? undefined : leader.toString(16),
    revision: integerOf(header, 3),
    raftTerm: integerOf(fields, 6),
    raftIndex: integerOf(fields, 5),
    raftAppliedIndex: integerOf(fields, 7),
    isLearner: integerOf(fields, 10) === 1,
    errors: repeatedOf(fields, 8).map(textOf),
  };
}

const alarmNames = ['NONE', 'NOSPACE', 'CORRUPT'] as const;

/** Action GET is 0, proto3's default: every alarm of every member. */
export const alarmsRequest = new Uint8Array();
export function alarmsOf(answer: Uint8Array): readonly EtcdAlarm[] {
  return repeatedOf(decodeFields(answer), 2).map((message) => {
    const fields = decodeFields(message);
    return { memberId: memberIdOf(fields, 1), alarm: alarmNames[integerOf(fields, 2)] ?? 'NONE' };
  });
}

export interface SnapshotPart {
  /** How much is still to come after this part. */
  readonly remainingBytes: number;
  readonly blob: Uint8Array;
}
export function snapshotPartOf(message: Uint8Array): SnapshotPart {
  const fields = decodeFields(message);
  return { remainingBytes: integerOf(fields, 2), blob: repeatedOf(fields, 3)[0] ?? new Uint8Array() };
}

export const putRequest = (key: string, value: string): Uint8Array =>
  Buffer.concat([bytesField(1, key), bytesField(2, value)]);
export const rangeRequest = (key: string): Uint8Array => bytesField(1, key);
/** Of every key that begins so, the key alone (keys_only), from one member (serializable). */
export function keysRequest(prefix: string): Uint8Array {
  const first = Buffer.from(prefix);
  // The first key that does not begin so. Source: etcd clientv3 `GetPrefixRangeEnd`; our prefixes end in ASCII.
  const end = Buffer.from(first);
  end[end.length - 1] = (end.at(-1) ?? 0) + 1;
  return Buffer.concat([bytesField(1, first), bytesField(2, end), varintField(7, true), varintField(8, true)]);
}
export const keysOf = (answer: Uint8Array): readonly string[] =>
  repeatedOf(decodeFields(answer), 2).map((pair) => stringOf(decodeFields(pair), 1));
export function valueOf(answer: Uint8Array): string | undefined {
  const [pair] = repeatedOf(decodeFields(answer), 2);
  return pair === undefined ? undefined : stringOf(decodeFields(pair), 5);
}
