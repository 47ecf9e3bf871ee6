import { describe, expect, test } from 'vitest';
import { judge, tenures, type Granted } from '../cluster/vip-rig/judge.ts';

const granted = (text: string): readonly Granted[] =>
  text.split(' ').map((grant) => ({ node: grant.slice(0, 1), generation: Number(grant.slice(1)) }));
const complaintsOf = (spoke: string, grants: string, since = 0) =>
  judge(
    Array.from(spoke, (node) => ({ node })),
    granted(grants),
    since,
  ).complaints;

describe('who has answered is held against what was granted', () => {
  test.each([
    ['one alone', 'a', 'a1'],
    ['one after the other', 'ab', 'a1 b2'],
    ['and back again', 'aba', 'a1 b2 a3'],
    ['one who never answered in between', 'ac', 'a1 b2 c3'],
    ['granted anew to the same', 'ab', 'a1 a2 b3'],
    ['told twice, by the assignment and by the node', 'ab', 'a1 a1 b2 b2'],
  ])('%s: nothing is wrong', (_what, spoke, grants) => {
    expect(complaintsOf(spoke, grants)).toEqual([]);
  });

  test.each([
    ['by turns', 'abab', 'a1 b2', 'a answers without a grant of generation 3 or later: a, b, a'],
    [
      'once more after its successor',
      'abab',
      'a1 b2 a3',
      'b answers without a grant of generation 4 or later: a, b, a, b',
    ],
    ['without any grant', 'ac', 'a1 b2', 'c answers without a grant of generation 2 or later: a, c'],
    ['by two grants of one generation', 'ab', 'a1 b1', 'generation 1 is both of a and of b'],
  ])('%s: that is told', (_what, spoke, grants, complaint) => {
    expect(complaintsOf(spoke, grants)).toContain(complaint);
  });

  test('a grant from before the history counts for nothing', () => {
    expect(complaintsOf('aba', 'a1 b2 a3')).toEqual([]);
    expect(complaintsOf('aba', 'a1 b2 a3', 3)).toHaveLength(2);
  });

  test('a stranger is told of', () => {
    expect(judge([{ node: undefined }], granted('a1'), 0).complaints[0]).toContain(
      'a stranger answers without a grant',
    );
  });

  test('the next history goes on with the last who spoke', () => {
    const { generation } = judge([{ node: 'a' }, { node: 'b' }], granted('a1 b4 a5'), 0);
    expect(generation).toBe(4);
    expect(complaintsOf('ba', 'a1 b4 a5', generation)).toEqual([]);
  });
});

test('frames become tenures of who spoke, in their order', () => {
  const address = '10.0.0.1';
  const spoken = Array.from('aabba', (mac, at) => ({ address, mac, atMs: at }));
  expect(tenures([...spoken, { address: '10.0.0.2', mac: 'c', atMs: 9 }], address)).toEqual([
    { mac: 'a', fromMs: 0, untilMs: 1 },
    { mac: 'b', fromMs: 2, untilMs: 3 },
    { mac: 'a', fromMs: 4, untilMs: 4 },
  ]);
});
