import { describe, expect, test } from 'vitest';
import {
  competesFor,
  nextElection,
  stanceOf,
  turnMs,
  type Stance,
} from '../../../src/vip/coordination/address-election.ts';
import { addressLease, addressOfLease, nodeLease } from '../../../src/vip/coordination/cluster-api.ts';
import type { LeaseRecord } from '../../../src/vip/coordination/lease-model.ts';
import { noAssignment, notes, type StoredAssignment } from '../../../src/vip/coordination/stored-assignment.ts';
import type { Election, Grant, NodeState } from '../../../src/vip/model.ts';
import type { PlanAddress, PlanNode } from '../../../src/vip/plan/plan-model.ts';
import { Driven, leaseOf, rules } from './coordinator-kit.ts';

const address = '10.0.0.1';
const nodesOf = (states: Readonly<Record<string, NodeState>>) =>
  new Map(
    Object.entries(states).map(([name, state]): [string, PlanNode] => [name, { name, state, capacity: 1, penalty: 0 }]),
  );
const wants = (change: Partial<PlanAddress> = {}): PlanAddress => ({ address, weight: 1, ...change });

describe('who competes for an address', () => {
  test.each<readonly [Stance, NodeState, Partial<PlanAddress>]>([
    ['takes', 'ready', {}],
    ['keeps', 'cordoned', {}],
    ['leaves', 'draining', {}],
    ['leaves', 'unready', {}],
    ['leaves', 'dead', {}],
    ['leaves', 'ready', { eligible: new Set(['b']) }],
    ['takes', 'ready', { eligible: new Set(['a']) }],
    ['leaves', 'ready', { pinnedTo: 'b' }],
    ['takes', 'cordoned', { pinnedTo: 'a' }],
    // A pin to a node that may not have it is none.
    ['takes', 'ready', { pinnedTo: 'b', eligible: new Set(['a']) }],
    ['takes', 'unready', { pinnedTo: 'a', use: 'apiserver' }],
  ])('%s: a node that is %s, for an address with %o', (stance, state, change) => {
    expect(stanceOf(wants(change), 'a', nodesOf({ a: state, b: 'ready' }))).toBe(stance);
  });

  test.each<readonly [boolean, string, string | undefined, Readonly<Record<string, NodeState>>]>([
    [true, 'nobody has it', undefined, { a: 'ready', b: 'ready' }],
    [true, 'it has it', 'a', { a: 'ready', b: 'ready' }],
    [true, 'it has it, and is cordoned', 'a', { a: 'cordoned', b: 'ready' }],
    [false, 'it has it, and is drained', 'a', { a: 'draining', b: 'ready' }],
    [false, 'another one has it and may keep it', 'b', { a: 'ready', b: 'ready' }],
    [false, 'another one has it and is cordoned', 'b', { a: 'ready', b: 'cordoned' }],
    [true, 'another one has it and is drained', 'b', { a: 'ready', b: 'draining' }],
    [true, 'another one has it and is dead', 'b', { a: 'ready', b: 'dead' }],
    [true, 'another one has it and is not known', 'c', { a: 'ready', b: 'ready' }],
    [false, 'it is cordoned, and nobody has it', undefined, { a: 'cordoned', b: 'ready' }],
  ])('%s when %s', (competes, _when, owner, states) => {
    expect(competesFor(wants(), 'a', owner, nodesOf(states))).toBe(competes);
  });
});

describe('the turn of a node', () => {
  const all = nodesOf({ a: 'ready', b: 'ready', c: 'ready', d: 'ready' });
  const turnOf = (each: string, name: string, owner?: string, nodes = all) =>
    turnMs(wants({ address: each }), name, owner, nodes) / 50;
  const addresses = Array.from({ length: 400 }, (_each, at) => `10.0.${String(at >> 8)}.${String(at & 255)}`);

  test('is another one for each node, in an order that each address has of its own', () => {
    for (const each of addresses)
      expect(['a', 'b', 'c', 'd'].map((name) => turnOf(each, name)).sort()).toEqual([0, 1, 2, 3]);
    const first = (name: string) => addresses.filter((each) => turnOf(each, name) === 0).length;
    for (const name of ['a', 'b', 'c', 'd']) expect(first(name)).toBeGreaterThan(60);
  });

  test('comes at once for its owner, and nodes that may not have it are passed over', () => {
    const one = addresses.find((each) => turnOf(each, 'a') === 3) ?? '';
    expect(turnOf(one, 'a', 'a')).toBe(0);
    expect(turnOf(one, 'a', 'b')).toBe(2);
    expect(turnOf(one, 'a', 'b', nodesOf({ a: 'ready', b: 'draining', c: 'dead', d: 'cordoned' }))).toBe(0);
  });
});

test('the name of its Lease is made of an address, and leads back to it', () => {
  expect(addressLease('10.1.2.3')).toBe('vip-address-10.1.2.3');
  expect(addressLease('fd98::50')).toBe('vip-address-fd98-0000-0000-0000-0000-0000-0000-0050');
  for (const each of ['10.1.2.3', 'fd98::50', '::1', 'fd98::']) {
    expect(addressOfLease(addressLease(each))).toBe(each);
    // Source: names of objects, RFC 1123.
    expect(addressLease(each)).toMatch(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/);
  }
  expect(addressOfLease(nodeLease('10.1.2.3'))).toBeUndefined();
  expect(addressOfLease('vip-address-elsewhere')).toBeUndefined();
});

const perService = { [notes.election]: 'per-service' };
const policy = { mayRebalance: true, startAbove: 1, stopBelow: 1, restMs: 0, movesAtOnce: 1, movesPerHour: 1 };

const assigned = (grant?: Omit<Grant, 'address'>, election?: Election): StoredAssignment => ({
  ...noAssignment,
  epoch: 3,
  revision: 9,
  lastGeneration: 4,
  standbys: ['b'],
  ...(election === undefined ? {} : { election }),
  grants: new Map(grant === undefined ? [] : [[address, { address, ...grant }]]),
});
const ofB = (state: Grant['state']): Omit<Grant, 'address'> => ({
  owner: 'b',
  state,
  generation: 4,
  ...(state === 'revoking' ? { next: 'a' } : {}),
});

/** `a`, with `b` beside it, in a cluster that elects. */
function among(assignment: StoredAssignment, nodes: Readonly<Record<string, NodeState>> = {}): Driven {
  const states = new Map(Object.entries(nodes).map(([name, state]) => [name, { state }]));
  return new Driven({ election: 'per-service' }).give(
    { type: 'wanted', wanted: { addresses: [wants()], nodes: states, policy } },
    leaseOf('a', 1, { notes: perService }),
    leaseOf('b', 2, { notes: perService }),
    { type: 'synced' },
    { type: 'seen', assignment },
  );
}

describe('a node where addresses are elected by themselves', () => {
  test('tries for the Lease of an address that nobody has, and gives it up when it is drained', () => {
    const driven = among(assigned(undefined, 'per-service'));
    expect(driven.competing).toEqual([address]);
    const nodes = new Map([['a', { state: 'draining' as const }]]);
    driven.give({ type: 'wanted', wanted: { addresses: [wants()], nodes, policy } });
    expect(driven.competing).toEqual([]);
  });

  test('does not try where a coordinator decides, nor before it has seen all Leases', () => {
    expect(among(assigned()).state.competing).toEqual([]);
    const driven = among(assigned(undefined, 'per-service'));
    expect(driven.give({ type: 'unsynced' }).competing).toEqual([]);
  });

  test('writes nothing without having been elected, and grants what is free to itself when it is', () => {
    const driven = among(assigned(undefined, 'per-service'));
    expect(driven.effects.some(({ type }) => type === 'read')).toBe(false);
    driven.give({ type: 'address', address, isElected: true }).read(assigned(undefined, 'per-service'));
    expect(driven.draft?.grants.get(address)).toMatchObject({ owner: 'a', state: 'granted', generation: 5 });
    // What the coordinator says of itself is left as it was.
    expect(driven.draft).toMatchObject({ epoch: 3, standbys: ['b'], election: 'per-service', revision: 10 });
  });

  test('[V10] waits for an acknowledgement of the owner before it, as a coordinator does', () => {
    const driven = among(assigned(ofB('granted'), 'per-service'), { b: 'draining' });
    expect(driven.state.competing).toEqual([{ address, afterMs: 0 }]);
    driven.give({ type: 'address', address, isElected: true }).read(assigned(ofB('granted'), 'per-service'));
    // First it is made ready for it.
    expect(driven.draft?.grants.get(address)).toMatchObject({ owner: 'b', state: 'granted', heir: 'a' });
    driven.give({ type: 'written', call: driven.state.calls, version: 'w1' });
    driven.give(leaseOf('a', 3, { notes: { ...perService, prepared: `${address}=4` } }));
    expect(driven.draft?.grants.get(address)).toMatchObject({ owner: 'b', state: 'revoking', next: 'a' });
    driven.give({ type: 'written', call: driven.state.calls, version: 'w2' });
    expect(driven.draft).toBeUndefined();
    driven.give(leaseOf('b', 4, { notes: { ...perService, released: `${address}=3` } }));
    expect(driven.draft).toBeUndefined();
    driven.give(leaseOf('b', 5, { notes: { ...perService, released: `${address}=4` } }));
    expect(driven.draft?.grants.get(address)).toMatchObject({ owner: 'a', generation: 5, isHandedOver: true });
  });

  test('[V10] without one it reads the Lease of a node that is dead once more', () => {
    const driven = among(assigned(ofB('granted'), 'per-service'));
    driven.nowMs = 900;
    driven.give(leaseOf('a', 3, { notes: perService }));
    driven.nowMs = 1000;
    expect(driven.give({ type: 'wake' }).competing).toEqual([address]);
    driven.give({ type: 'address', address, isElected: true }).read(assigned(ofB('granted'), 'per-service'));
    expect(driven.draft?.grants.get(address)).toMatchObject({ owner: 'b', state: 'revoking', next: 'a' });
    driven.give({ type: 'written', call: driven.state.calls, version: 'w' });
    driven.nowMs = 1020;
    driven.give({ type: 'wake' });
    expect(driven.effects).toContainEqual(expect.objectContaining({ type: 'confirm', node: 'b' }));
    const record = driven.state.leases.get('b')?.record;
    driven.give({ type: 'confirmed', call: driven.state.calls, record });
    expect(driven.draft?.grants.get(address)).toMatchObject({ owner: 'a', state: 'granted', generation: 5 });
  });

  test('that coordinates too grants nothing, and takes back what nobody may have', () => {
    const driven = among(assigned(undefined, 'per-service')).give({ type: 'elected', epoch: 3 });
    driven.read(assigned(undefined, 'per-service'));
    expect(driven.draft).toBeUndefined();
    const held = among(assigned(ofB('granted'), 'per-service')).give({ type: 'elected', epoch: 3 });
    held.read(assigned(ofB('granted'), 'per-service'));
    expect(held.draft).toBeUndefined();
    const nobody = { addresses: [wants({ eligible: new Set<string>() })], nodes: new Map(), policy };
    held.give({ type: 'wanted', wanted: nobody });
    expect(held.draft?.grants.get(address)).toEqual({ address, owner: 'b', state: 'revoking', generation: 4 });
  });

  test('that coordinates leaves to the holder of a Lease what that was elected for', () => {
    const held = among(assigned(ofB('granted'), 'per-service')).give(
      { type: 'address lease', address, holder: 'b-1' },
      { type: 'elected', epoch: 3 },
    );
    held.read(assigned(ofB('granted'), 'per-service'));
    const nobody = { addresses: [wants({ eligible: new Set<string>() })], nodes: new Map(), policy };
    held.give({ type: 'wanted', wanted: nobody });
    expect(held.draft).toBeUndefined();
    held.give({ type: 'address lease', address, holder: '' });
    expect(held.draft?.grants.get(address)?.state).toBe('revoking');
  });

  test('takes turns with others that write: a conflict is no failure', () => {
    const driven = among(assigned(undefined, 'per-service'));
    driven.give({ type: 'address', address, isElected: true }).read(assigned(undefined, 'per-service'));
    driven.give({ type: 'failed', call: driven.state.calls, text: 'conflict', isConflict: true });
    expect(driven.effects.map(({ type }) => type)).toEqual(['read']);
  });
});

describe('a cluster has one way at a time', () => {
  test.each<readonly [Election, string, Election, Election | undefined, LeaseRecord['notes']]>([
    ['per-service', 'it was told so, and there is no assignment yet', 'per-service', undefined, {}],
    ['per-service', 'all were told so', 'per-service', 'per-service', perService],
    ['per-service', 'a living node was told so, and this one otherwise', 'coordinator', 'per-service', perService],
    ['coordinator', 'no living node was told otherwise any more', 'coordinator', 'per-service', {}],
    ['coordinator', 'a living node knows of no other way', 'per-service', 'coordinator', {}],
    ['per-service', 'no living node is left that was told otherwise', 'per-service', 'coordinator', perService],
  ])('%s: %s', (next, _why, told, stored, ofB) => {
    const own = told === 'per-service' ? perService : {};
    const driven = new Driven({ election: told }).give({ type: 'elected', epoch: 3 });
    driven.nowMs = 1000;
    driven.give(leaseOf('a', 1, { notes: own }), leaseOf('b', 2, { notes: ofB }));
    const version = stored === undefined ? undefined : 'v';
    const assignment = stored === 'per-service' ? assigned(undefined, stored) : noAssignment;
    driven.give({ type: 'read', call: driven.state.calls, stored: { version, assignment } });
    expect(nextElection(driven.state, { ...rules, election: told }, 1000)).toBe(next);
  });

  test('is not changed by who is elected after an outage, before the others could renew their Leases', () => {
    const driven = among(assigned(ofB('granted'), 'coordinator'));
    driven.give(leaseOf('b', 3));
    driven.nowMs = 60_000;
    driven.give({ type: 'elected', epoch: 3 }).read(assigned(ofB('granted'), 'coordinator'));
    expect(nextElection(driven.state, { ...rules, election: 'per-service' }, 60_999)).toBe('coordinator');
    driven.nowMs = 60_500;
    driven.give(leaseOf('b', 4));
    expect(nextElection(driven.state, { ...rules, election: 'per-service' }, 61_000)).toBe('coordinator');
    expect(nextElection(driven.state, { ...rules, election: 'per-service' }, 61_600)).toBe('per-service');
  });

  test('the coordinator writes the new one down, and grants nothing by the old one', () => {
    const driven = among(assigned(ofB('granted'))).give({ type: 'elected', epoch: 3 });
    driven.nowMs = 1000;
    driven.give(leaseOf('a', 3, { notes: perService }), leaseOf('b', 4, { notes: perService }));
    driven.read(assigned(ofB('granted')));
    expect(driven.draft?.election).toBe('per-service');
    expect(driven.draft?.grants.get(address)).toEqual({ address, ...ofB('granted') });
  });
});
