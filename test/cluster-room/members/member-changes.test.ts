import { describe, expect, test } from 'vitest';
import type { EtcdMember } from '../../../src/cluster/etcd/etcd-messages.ts';
import { changesByNodes, stalledAfterMs, withProgress } from '../../../src/cluster/members/member-changes.ts';

const member = (name: string, isLearner = false): EtcdMember => ({
  id: `id-${name}`,
  name,
  peerUrls: [],
  clientUrls: [],
  isLearner,
});
const three = [member('s1'), member('s2'), member('s3')];

describe('by Nodes', () => {
  test.each([
    ['a member with a Node stays, and is remembered', ['s1'], [], [], ['s1']],
    ['one that never had a Node stays: a server without a node, or one that is just joining', [], [], [], []],
    ['one whose Node was deleted goes, and is forgotten', ['s1', 's3'], ['s1', 's2', 's3'], ['s2'], ['s1', 's3']],
    ['two at once go', ['s1'], ['s1', 's2', 's3'], ['s2', 's3'], ['s1']],
    ['all Nodes deleted: nobody goes, somebody has to be left', [], ['s1', 's2', 's3'], [], ['s1', 's2', 's3']],
    ['who is no member any more is forgotten', ['s1'], ['s1', 's9'], [], ['s1']],
  ])('%s', (_, present, seen, removed, kept) => {
    const changes = changesByNodes(three, { present: new Set(present), seen: new Set(seen) });
    expect(changes.remove.map(({ name }) => name)).toEqual(removed);
    expect(changes.seen).toEqual(kept);
  });

  test('a learner is not enough to be left', () => {
    const members = [member('s1'), member('s2', true)];
    expect(changesByNodes(members, { present: new Set(['s2']), seen: new Set(['s1']) }).remove).toEqual([]);
  });

  test('a member that has never run has no name to have a Node by', () => {
    expect(
      changesByNodes([member('s1'), member('')], { present: new Set(['s1']), seen: new Set(['']) }).remove,
    ).toEqual([]);
  });
});

describe('a learner', () => {
  const at = (index: number | undefined) => new Map([['a', index]]);

  test('that goes on is left alone, however slow it is', () => {
    let { progress } = withProgress(new Map(), at(1), 0);
    for (let step = 1; step <= 5; step += 1) {
      const next = withProgress(progress, at(1 + step), step * (stalledAfterMs - 1));
      expect(next.stalled).toEqual([]);
      progress = next.progress;
    }
  });

  test.each([
    ['stands still', 7, 7],
    ['does not answer any more', 7, undefined],
    ['has never answered', undefined, undefined],
  ])('that %s is stalled after five minutes', (_, first, later) => {
    const { progress } = withProgress(new Map(), at(first), 1_000);
    expect(withProgress(progress, at(later), 1_000 + stalledAfterMs - 1).stalled).toEqual([]);
    expect(withProgress(progress, at(later), 1_000 + stalledAfterMs).stalled).toEqual(['a']);
  });

  test('that is promoted or gone is forgotten', () => {
    const { progress } = withProgress(new Map(), at(1), 0);
    expect(withProgress(progress, new Map(), 1).progress.size).toBe(0);
  });
});
