import { expect, test } from 'vitest';
import type { Grant } from '../../../src/vip/model.ts';
import { holdersOf, noticesOf, standingOf } from '../../../src/vip/service/service-status.ts';
import { service } from './service-kit.ts';

const address = '10.1.2.3';
const allocation = { service: service('web'), key: 'default/web', addresses: [address] } as const;

/** What is told of an address whose grants were these, one after the other. */
function toldOf(...grants: readonly (Omit<Grant, 'address' | 'generation'> | undefined)[]): readonly string[] {
  const each = grants.map((grant, generation) =>
    holdersOf({ grants: new Map(grant && [[address, { address, generation, ...grant }]]) }),
  );
  return each.flatMap((holders, at) => {
    const before = at === 0 ? undefined : { holders: each[at - 1] ?? new Map<string, string>(), problem: '' };
    return noticesOf(allocation, holders, before).map(({ reason, message }) => `${reason}: ${message}`);
  });
}

const a = { owner: 'a', state: 'granted' } as const;
const b = { owner: 'b', state: 'granted' } as const;

test('a move is told once, and not as lost and found', () => {
  expect(toldOf(undefined, a, { owner: 'a', state: 'revoking', next: 'b' }, b)).toEqual([
    'Assigned: 10.1.2.3 is held by a',
    'Moved: 10.1.2.3 moved from a to b',
  ]);
});

test('what nobody gets is told as lost when its owner has let go', () => {
  expect(toldOf(undefined, a, { owner: 'a', state: 'revoking' }, undefined)).toEqual([
    'Assigned: 10.1.2.3 is held by a',
    'Lost: 10.1.2.3 is held by no node',
  ]);
});

test('the condition names the node', () => {
  const held = holdersOf({ grants: new Map([[address, { address, generation: 1, ...a }]]) });
  expect(standingOf(allocation, held)).toEqual({ status: 'True', reason: 'Held', message: '10.1.2.3 on a' });
  expect(standingOf(allocation, new Map())).toMatchObject({ status: 'False', reason: 'NoNode' });
});
