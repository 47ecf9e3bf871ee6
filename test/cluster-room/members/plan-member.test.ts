import { describe, expect, test } from 'vitest';
import type { EtcdMember } from '../../../src/cluster/etcd/etcd-messages.ts';
import { initialCluster, planMember, type MemberFacts } from '../../../src/cluster/members/plan-member.ts';

const member = (id: string, name: string, host: string): EtcdMember => ({
  id,
  name,
  peerUrls: [`https://${host}:2380`],
  clientUrls: name === '' ? [] : [`https://${host}:2379`],
  isLearner: name === '',
});
const s1 = member('1', 's1', '192.0.2.1');
const s2 = member('2', 's2', '192.0.2.2');
const unstarted = member('2', '', '192.0.2.2');
const own = { name: 's2', peerUrl: 'https://192.0.2.2:2380' };
const facts = (changes: Partial<MemberFacts>): MemberFacts => ({
  ...own,
  hasData: false,
  isJoining: true,
  knewOthers: true,
  members: [s1],
  ...changes,
});

describe('with data on disk', () => {
  const kept = { hasData: true };
  test.each([
    ['nobody can be asked: the others may all be down', { ...kept, members: undefined }],
    ['it is one of the members', { ...kept, members: [s1, s2] }],
    ['the machine has another address than before', { ...kept, members: [s1, member('2', 's2', '192.0.2.9')] }],
    ['the machine has another name than before', { ...kept, members: [s1, member('2', 'old', '192.0.2.2')] }],
    ['it is the first server', { ...kept, isJoining: false, members: undefined }],
  ])('it goes on: %s', (_, changes) => {
    expect(planMember(facts(changes))).toEqual({ do: 'go-on' });
  });

  test.each([true, false])('it is refused when the others do not know it any more', (isJoining) => {
    expect(planMember(facts({ ...kept, isJoining, members: [s1] }))).toMatchObject({
      do: 'refuse',
      why: expect.stringContaining('removed from the cluster') as string,
    });
  });
});

describe('without data', () => {
  test('the first server begins a cluster of itself alone', () => {
    const plan = planMember(
      facts({ name: 's1', peerUrl: 'https://192.0.2.1:2380', isJoining: false, knewOthers: false }),
    );
    expect(plan).toEqual({ do: 'begin', initialCluster: 's1=https://192.0.2.1:2380', state: 'new' });
  });

  test('but not a second one beside members that it knew', () => {
    expect(planMember(facts({ isJoining: false }))).toMatchObject({
      do: 'refuse',
      why: expect.stringContaining('join them with --server') as string,
    });
  });

  test('one that joins is added', () => {
    expect(planMember(facts({}))).toEqual({ do: 'add' });
  });

  test('one that was added, and went no further, begins as that member', () => {
    expect(planMember(facts({ members: [s1, unstarted] }))).toEqual({
      do: 'begin',
      initialCluster: 's1=https://192.0.2.1:2380,s2=https://192.0.2.2:2380',
      state: 'existing',
    });
  });

  test('one that nobody answers asks again', () => {
    expect(planMember(facts({ members: undefined }))).toEqual({ do: 'ask-again' });
  });

  test.each([
    ['its data is gone', [s1, s2], 'has none of its data'],
    ['another machine has its name', [s1, member('2', 's2', '192.0.2.9')], 'choose another --node-name'],
    ['another name has its address', [s1, member('2', 'other', '192.0.2.2')], 'the address of this machine'],
  ])('it is refused when %s', (_, members, why) => {
    expect(planMember(facts({ members }))).toMatchObject({ do: 'refuse', why: expect.stringContaining(why) as string });
  });
});

test('a member that has never run is given a name, as etcd counts it too', () => {
  const third = member('3', '', '192.0.2.3');
  expect(initialCluster([s1, unstarted, third], own.name, own.peerUrl)).toBe(
    's1=https://192.0.2.1:2380,s2=https://192.0.2.2:2380,new-3=https://192.0.2.3:2380',
  );
});
