/**
 * What the servers do about etcd's members, on real members of etcd; time and the Kubernetes API are
 * of the test.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { EtcdMember } from '../../src/cluster/etcd/etcd-messages.ts';
import { KubeApiError } from '../../src/cluster/kube-client.ts';
import { keepMembers } from '../../src/cluster/members/keep-members.ts';
import { stalledAfterMs } from '../../src/cluster/members/member-changes.ts';
import { fakeClock, type FakeClock } from '../kit/fake-clock.ts';
import { etcdMembers, type EtcdMembers } from './kit/etcd-members.ts';

/** Between two looks. Source: src/cluster/members/keep-members.ts, 15 s and no jitter. */
const lookMs = 15_000;
const patience = { timeout: 20_000, interval: 20 };

let etcd: EtcdMembers;
let clock: FakeClock;
let nodes: Set<string>;
let lines: string[];
let looks: number;
let known: readonly EtcdMember[];
let end: AbortController;
let ended: Promise<unknown>;
const { signal } = new AbortController();

beforeEach(async () => {
  etcd = await etcdMembers(2);
  etcd.member(0).start([etcd.member(0)]);
  clock = fakeClock();
  nodes = new Set();
  lines = [];
  looks = 0;
  known = [];
  end = new AbortController();
});
afterEach(async () => {
  end.abort(new Error('the test is over'));
  await ended;
  await etcd[Symbol.asyncDispose]();
});

async function begin(): Promise<void> {
  const client = etcd.client([etcd.member(0)]);
  await etcd.ready(client);
  ended = keepMembers({
    etcd: client,
    connect: () =>
      Promise.resolve({
        get(path) {
          looks += 1;
          const name = path.split('/').at(-1) ?? '';
          return nodes.has(name)
            ? Promise.resolve({ metadata: { name } })
            : Promise.reject(new KubeApiError(`GET ${path}`, 404, 'NotFound', 'not found'));
        },
        [Symbol.dispose]: () => undefined,
      }),
    remember(members) {
      known = members;
      return Promise.resolve();
    },
    clock,
    random: () => 0.5,
    log: (line) => lines.push(line),
    signal: end.signal,
  }).catch(() => undefined);
}

/** One look, to its end: its own timer is set again. */
async function look(): Promise<void> {
  const before = looks;
  await clock.advance(lookMs);
  await expect.poll(() => looks > before && clock.pendingTimers === 1, patience).toBe(true);
}

const names = async () => (await etcd.client([etcd.member(0)]).memberList(signal)).map(({ name }) => name).sort();

test('a learner that never comes is removed, so that another can be taken in', async () => {
  await begin();
  const client = etcd.client([etcd.member(0)]);
  await client.memberAdd({ peerUrls: ['https://127.0.0.1:9'], isLearner: true }, signal);
  const another = { peerUrls: [etcd.member(1).peerUrl], isLearner: true };
  await expect(client.memberAdd(another, signal)).rejects.toMatchObject({ detail: { reason: 'too-many-learners' } });
  for (let passedMs = 0; passedMs < stalledAfterMs; passedMs += lookMs) await look();
  expect(await names()).toEqual(['', 'm1']);
  await look();
  expect(await names()).toEqual(['m1']);
  expect(lines.at(-1)).toContain('it has made no progress for minutes');
  await client.memberAdd(another, signal);
});

test('a learner whose own machine does not ask for a vote is given one when it is in sync', async () => {
  await begin();
  const client = etcd.client([etcd.member(0)]);
  await client.memberAdd({ peerUrls: [etcd.member(1).peerUrl], isLearner: true }, signal);
  etcd.member(1).start(etcd.members, 'existing');
  await expect
    .poll(async () => {
      await look();
      return (await client.memberList(signal)).map(({ name, isLearner }) => `${name} ${String(isLearner)}`).sort();
    }, patience)
    .toEqual(['m1 false', 'm2 false']);
  expect(lines).toContain('promoted m2: it has a vote now');
});

test('the member of a deleted Node is removed; one that never had a Node is not', async () => {
  await begin();
  const client = etcd.client([etcd.member(0)]);
  const { member } = await client.memberAdd({ peerUrls: [etcd.member(1).peerUrl], isLearner: true }, signal);
  etcd.member(1).start(etcd.members, 'existing');
  await expect
    .poll(
      () =>
        client.memberPromote(member.id, signal).then(
          () => true,
          () => false,
        ),
      patience,
    )
    .toBe(true);
  await look();
  expect(await names()).toEqual(['m1', 'm2']);
  nodes = new Set(['m1', 'm2']);
  await look();
  expect(known.flatMap(({ clientUrls }) => clientUrls).sort()).toEqual(
    etcd.members.map(({ clientUrl }) => clientUrl).sort(),
  );
  expect(known.map(({ name }) => name).sort()).toEqual(['m1', 'm2']);
  nodes = new Set(['m1']);
  // etcd takes nobody out before all have been connected for 5 s. Source: etcd, its strict check of reconfigurations.
  const removed = async () => {
    await look();
    return await names();
  };
  await expect.poll(removed, patience).toEqual(['m1']);
  expect(lines).toContain('removed m2 from etcd: its Node was deleted');
});
