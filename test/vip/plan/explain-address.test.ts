import { expect, test } from 'vitest';
import { explainAddress } from '../../../src/vip/plan/explain-address.ts';
import { plan } from '../../../src/vip/plan/plan.ts';
import { readCases } from './plan-text.ts';

function explained(text: string, address = '1'): readonly string[] {
  const [each] = readCases(text);
  const answer = each && explainAddress(each.input, plan(each.input), address);
  return [
    answer?.verdict ?? 'unknown',
    ...(answer?.nodes ?? []).map(({ name, may, load, cost, why }) =>
      [name, may ? `may, load ${String(load)}, cost ${String(cost)}` : 'may not', why].join(': '),
    ),
  ];
}

test('an address that stays: what it costs where it is, and would elsewhere', () => {
  expect(explained('# x\nnodes a b c:dead d\n1 a on=a,b,c\n2 a\n3 b\n4 d\n5 d\n')).toEqual([
    'stays: no move would make the loads more even',
    'a: may, load 2, cost 3: has it',
    'b: may, load 1, cost 3: may have it',
    'c: may not: dead',
    'd: may not: not eligible: labels, endpoints or networks',
  ]);
});

test('one that moves, one that waits, one that nobody may have, one that is not there', () => {
  expect(explained('# x\nnodes a:draining b\n1 a\n')[0]).toBe('moves to b now (drain)');
  expect(explained('# x\npolicy closed\nnodes a b\n1 a prefer=b:50\n2 a\n')).toEqual([
    'is to move to b (failback), waits for window',
    'a: may, load 2, cost 3: has it',
    'b: may, load 0, cost 1: preferred by 50',
  ]);
  expect(explained('# x\nnodes a\n1 a on=b\n')[0]).toBe('no eligible node is there');
  expect(explained('# x\nnodes a\n1 a\n', '2')).toEqual(['unknown']);
});
