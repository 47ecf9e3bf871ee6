/**
 * The client of etcd's API against real members, with TLS by our own certificates.
 *
 *   client ─► m1, m2, m3 (in this order)        m4 joins as a learner
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EtcdError } from '../../src/cluster/etcd/etcd-error.ts';
import type { EtcdClient } from '../../src/cluster/etcd/etcd-client.ts';
import { etcdMembers, type EtcdMemberProcess, type EtcdMembers } from './kit/etcd-members.ts';

const { signal } = new AbortController();
let etcd: EtcdMembers;
let client: EtcdClient;
let voters: readonly EtcdMemberProcess[];

beforeAll(async () => {
  etcd = await etcdMembers(4);
  voters = etcd.members.slice(0, 3);
  for (const member of voters) member.start(voters);
  client = etcd.client(voters);
  await etcd.ready(client);
});
afterAll(() => etcd[Symbol.asyncDispose]());

const idOf = async (name: string) => {
  const found = (await client.memberList(signal)).find((member) => member.name === name);
  if (found === undefined) throw new Error(`no member ${name}`);
  return found.id;
};
const reasonOf = (error: unknown) => (error instanceof EtcdError ? error.detail.reason : String(error));
const failureOf = async (call: Promise<unknown>): Promise<EtcdError> => {
  const failure: unknown = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(failure).toBeInstanceOf(EtcdError);
  return failure as EtcdError;
};

test('members, status and keys are read as etcd has them', async () => {
  const members = await client.memberList(signal);
  expect(members.map(({ name }) => name).sort()).toEqual(['m1', 'm2', 'm3']);
  for (const { name, peerUrls, clientUrls, isLearner } of members) {
    const member = voters.find((each) => each.name === name);
    expect({ peerUrls, clientUrls, isLearner }).toEqual({
      peerUrls: [member?.peerUrl],
      clientUrls: [member?.clientUrl],
      isLearner: false,
    });
  }
  const statuses = await Promise.all(voters.map(({ clientUrl }) => client.status(clientUrl, signal)));
  expect(new Set(statuses.map(({ memberId }) => memberId))).toEqual(new Set(members.map(({ id }) => id)));
  expect(new Set(statuses.map(({ leader }) => leader)).size).toBe(1);
  for (const status of statuses) {
    expect(status).toMatchObject({ version: '3.6.8', isLearner: false, errors: [] });
    expect(status.raftAppliedIndex).toBeGreaterThan(0);
    expect(status.raftIndex).toBeGreaterThanOrEqual(status.raftAppliedIndex);
    expect(status.dbSizeBytes).toBeGreaterThanOrEqual(status.dbInUseBytes);
    expect(status.dbQuotaBytes).toBe(2 * 1024 ** 3);
  }
  await client.put('a', 'ä', signal);
  expect(await client.get('a', signal)).toBe('ä');
  expect(await client.get('b', signal)).toBeUndefined();
  expect(await client.alarms(signal)).toEqual([]);
});

test('the leader is found and hands over to the member that is named', async () => {
  const status = await client.status(etcd.member(0).clientUrl, signal);
  const others = (await client.memberList(signal)).filter(({ id }) => id !== status.leader);
  for (const { id } of others) {
    await client.moveLeader(id, signal);
    await expect.poll(async () => (await client.status(etcd.member(0).clientUrl, signal)).leader).toBe(id);
  }
  const unknown = await failureOf(client.moveLeader('abc', signal));
  expect(unknown.message).toContain('bad leader transferee');
  expect(unknown.detail.reason).toBe('refused');
});

test('a learner is added once, promoted when it is in sync, and removed', async () => {
  const joining = etcd.member(3);
  const asked = { peerUrls: [joining.peerUrl], isLearner: true };
  const added: Awaited<ReturnType<EtcdClient['memberAdd']>>[] = [];
  // etcd refuses while its members have not been connected for 5 s.
  await expect
    .poll(() => client.memberAdd(asked, signal).then((answer) => added.push(answer), reasonOf), { timeout: 20_000 })
    .toBe(1);
  const [{ member, members } = { member: undefined, members: [] }] = added;
  if (member === undefined) throw new Error('no learner was added');
  expect(member).toMatchObject({ name: '', peerUrls: [joining.peerUrl], clientUrls: [], isLearner: true });
  expect(members).toHaveLength(4);
  expect((await failureOf(client.memberAdd(asked, signal))).detail.reason).toBe('member-exists');
  const another = { peerUrls: ['https://127.0.0.1:1'], isLearner: true };
  expect((await failureOf(client.memberAdd(another, signal))).detail.reason).toBe('too-many-learners');
  expect((await failureOf(client.memberPromote(member.id, signal))).detail.reason).toBe('learner-not-ready');
  expect((await failureOf(client.memberPromote(await idOf('m1'), signal))).detail.reason).toBe('not-learner');

  joining.start(etcd.members, 'existing');
  await expect
    .poll(() => client.memberPromote(member.id, signal).then(() => 'promoted', reasonOf), {
      timeout: 20_000,
    })
    .toBe('promoted');
  expect((await client.memberList(signal)).filter(({ isLearner }) => isLearner)).toEqual([]);
  expect(await etcd.client([joining]).get('a', signal)).toBe('ä');

  await client.memberUpdate(member.id, ['https://127.0.0.1:2'], signal);
  expect((await client.memberList(signal)).find(({ id }) => id === member.id)?.peerUrls).toEqual([
    'https://127.0.0.1:2',
  ]);
  expect(await client.memberRemove(member.id, signal)).toHaveLength(3);
  expect((await failureOf(client.memberRemove(member.id, signal))).detail.reason).toBe('member-not-found');
  await joining.end('SIGKILL');
});

test('calls go on to the next endpoint when one is down or stopped, and say what each one said when none answers', async () => {
  const [first, second, third] = [etcd.member(0), etcd.member(1), etcd.member(2)];
  first.signal('SIGSTOP');
  try {
    // It may have been the leader: then the others elect one first.
    await expect
      .poll(
        () =>
          client.put('c', '1', signal).then(
            () => true,
            () => false,
          ),
        { timeout: 20_000 },
      )
      .toBe(true);
    expect(await client.get('c', signal)).toBe('1');
    expect((await failureOf(etcd.client([first]).get('c', signal))).message).toMatch(
      new RegExp(`^cannot read c from etcd: ${first.clientUrl}: no (?:answer|connection) within `),
    );
  } finally {
    first.signal('SIGCONT');
  }
  await first.end('SIGKILL');
  expect(await client.get('c', signal)).toBe('1');
  await second.end('SIGKILL');
  const local = await client.memberList(signal, { isLocal: true });
  expect(local).toHaveLength(3);
  await expect
    .poll(async () => (await client.status(third.clientUrl, signal)).leader, { timeout: 10_000 })
    .toBeUndefined();
  const failure = await failureOf(etcd.client(voters, 2000).memberRemove(local[0]?.id ?? '', signal));
  expect(failure.detail.endpoints.map(({ endpoint }) => endpoint)).toEqual(voters.map(({ clientUrl }) => clientUrl));
  expect(failure.message).toContain(`${first.clientUrl}: ECONNREFUSED; ${second.clientUrl}: ECONNREFUSED; `);
  expect(failure.toJSON()).toMatchObject({ code: 'ERR_ETCD', endpoints: [{ outcome: 'ECONNREFUSED' }, {}, {}] });
  first.restart();
  second.restart();
  await etcd.ready(client);
});

test('somebody without a certificate of etcd’s own authority is refused, and a call ends with its signal', async () => {
  const { etcdClient } = await import('../../src/cluster/etcd/etcd-client.ts');
  const { systemClock } = await import('../../src/kernel/clock.ts');
  const endpoints = [etcd.member(0).clientUrl];
  const stranger = etcdClient({ endpoints, tls: { ca: etcd.tls.ca }, clock: systemClock });
  expect((await failureOf(stranger.memberList(signal))).detail.reason).toBe('unavailable');
  const controller = new AbortController();
  etcd.member(0).signal('SIGSTOP');
  try {
    const call = etcd.client([etcd.member(0)]).memberList(controller.signal);
    const reason = new Error('enough');
    controller.abort(reason);
    await expect(call).rejects.toBe(reason);
  } finally {
    etcd.member(0).signal('SIGCONT');
  }
});
