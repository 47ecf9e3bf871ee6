import { describe, expect, test } from 'vitest';
import { newCoordinator, stepCoordinator } from '../../../src/vip/coordination/coordinator.ts';
import type { CoordinatorInput, CoordinatorRules } from '../../../src/vip/coordination/coordinator-model.ts';
import type { LeaseRecord } from '../../../src/vip/coordination/lease-model.ts';
import { noAssignment, type StoredAssignment } from '../../../src/vip/coordination/stored-assignment.ts';
import { plan } from '../../../src/vip/plan/plan.ts';

const rules: CoordinatorRules = { node: 'a', plan, graceMs: 20, leaseDurationMs: 1000, standbys: 2 };
const address = '10.0.0.1';

const leaseOf = (node: string, version: number, change: Partial<LeaseRecord> = {}): CoordinatorInput => ({
  type: 'lease',
  node,
  record: {
    version: String(version),
    uid: node,
    holder: `${node}-1`,
    durationMs: 1000,
    transitions: 0,
    nonce: String(version),
    notes: {},
    ...change,
  },
});

/** A coordinator that is driven by hand. */
class Driven {
  state = newCoordinator;
  nowMs = 0;
  wakeAtMs: number | undefined;
  effects: ReturnType<typeof stepCoordinator>['effects'] = [];

  at(nowMs: number): this {
    this.nowMs = nowMs;
    return this;
  }

  give(input: CoordinatorInput): this {
    const step = stepCoordinator(this.state, input, rules, this.nowMs);
    this.state = step.state;
    this.effects = step.effects;
    this.wakeAtMs = step.wakeAtMs;
    return this;
  }

  /** What is to be written now. */
  get draft(): StoredAssignment | undefined {
    return this.effects.find((effect) => effect.type === 'write')?.assignment;
  }

  written(version: string): this {
    return this.give({ type: 'written', call: this.state.calls, version });
  }
}

/** `a` decides, `b` holds the address under generation 4. */
function settled(): Driven {
  const grants = new Map([[address, { address, owner: 'b', state: 'granted', generation: 4 } as const]]);
  const driven = new Driven();
  const policy = { mayRebalance: false, startAbove: 1, stopBelow: 1, restMs: 0, movesAtOnce: 1, movesPerHour: 1 };
  driven.give({ type: 'wanted', wanted: { addresses: [{ address, weight: 1 }], nodes: new Map(), policy } });
  driven.give(leaseOf('a', 1)).give(leaseOf('b', 2)).give({ type: 'synced' }).give({ type: 'elected', epoch: 3 });
  const assignment = { ...noAssignment, epoch: 3, revision: 9, lastGeneration: 4, standbys: ['b'], grants };
  return driven.give({ type: 'read', call: driven.state.calls, stored: { version: 'v1', assignment } });
}

const revoking: StoredAssignment = {
  ...noAssignment,
  epoch: 3,
  revision: 10,
  lastGeneration: 4,
  standbys: ['b'],
  grants: new Map([[address, { address, owner: 'b', state: 'revoking', next: 'a', generation: 4 }]]),
};

test('[V10] what is being revoked is granted to the next on an acknowledgement of that generation alone', () => {
  const driven = settled();
  driven.give({ type: 'elected', epoch: 3 });
  driven.give({ type: 'read', call: driven.state.calls, stored: { version: 'v2', assignment: revoking } });
  expect(driven.draft).toBeUndefined();
  driven.at(50).give(leaseOf('b', 3, { notes: { released: `${address}=3` } }));
  expect(driven.draft).toBeUndefined();
  driven.at(100).give(leaseOf('b', 4, { notes: { released: `${address}=4` } }));
  expect(driven.draft?.grants.get(address)).toMatchObject({ owner: 'a', state: 'granted', generation: 5 });
});

test('[V10] without an acknowledgement it takes a Lease that is over, and a read of it after the revocation', () => {
  const driven = settled();
  // `b` is late: its heir is named.
  driven.at(900).give(leaseOf('a', 10)).written('v1b');
  driven.at(1000).give({ type: 'wake' });
  expect(driven.draft?.grants.get(address)).toMatchObject({ owner: 'b', state: 'revoking', next: 'a' });
  driven.written('v2');
  expect(driven.effects.map(({ type }) => type)).not.toContain('confirm');
  driven.at(driven.wakeAtMs ?? 0);
  expect(driven.nowMs).toBe(1020);
  driven.give({ type: 'wake' });
  expect(driven.effects).toContainEqual(expect.objectContaining({ type: 'confirm', node: 'b' }));
  const record = driven.state.leases.get('b')?.record;
  driven.give({ type: 'confirmed', call: driven.state.calls, record });
  expect(driven.draft?.grants.get(address)).toMatchObject({ owner: 'a', state: 'granted', generation: 5 });
});

test('a Lease that the confirming read shows changed is not over', () => {
  const driven = settled();
  // `b` is late: its heir is named.
  driven.at(900).give(leaseOf('a', 10)).written('v1b');
  driven.at(1000).give({ type: 'wake' }).written('v2');
  driven.at(1020).give({ type: 'wake' });
  const renewed = leaseOf('b', 11);
  if (renewed.type !== 'lease') throw new Error('no Lease');
  driven.give({ type: 'confirmed', call: driven.state.calls, record: renewed.record });
  expect(driven.draft?.grants.get(address)).toMatchObject({ owner: 'b', state: 'revoking' });
  expect(driven.state.confirmed.size).toBe(0);
});

test('a renewal that comes when something is due does not put it off', () => {
  const driven = settled();
  driven.at(900).give(leaseOf('a', 10)).written('v1b');
  expect(driven.wakeAtMs).toBe(1000);
  // The timer is late, and a renewal of another node comes first.
  driven.at(1001).give(leaseOf('a', 11));
  expect(driven.draft?.grants.get(address)).toMatchObject({ owner: 'b', state: 'revoking', next: 'a' });
});

test('a renewal that says nothing new is not planned for', () => {
  const driven = settled();
  const { plan: before } = driven.state;
  driven.at(100).give(leaseOf('b', 3));
  expect(driven.state.plan).toBe(before);
});

test('a write that was given up and happens after it was read again is noticed', () => {
  const driven = settled();
  expect(driven.effects).toEqual([]);
  driven.give({ type: 'seen', revision: 9 });
  expect(driven.effects).toEqual([]);
  driven.give({ type: 'seen', revision: 10 });
  expect(driven.effects).toEqual([{ type: 'read', call: driven.state.calls }]);
  driven.give({ type: 'read', call: driven.state.calls, stored: { version: 'v2', assignment: revoking } });
  expect(driven.state.stored?.assignment.revision).toBe(10);
});

describe('an heir', () => {
  const pinned = { address, weight: 1, pinnedTo: 'a' };
  const policy = { mayRebalance: false, startAbove: 1, stopBelow: 1, restMs: 0, movesAtOnce: 1, movesPerHour: 1 };
  /** `b` has it, and it is to be with `a`. */
  const moving = () =>
    settled()
      .at(100)
      .give({ type: 'wanted', wanted: { addresses: [pinned], nodes: new Map(), policy } });

  test('is named first, and the owner is revoked when it says that it is ready for this generation', () => {
    const driven = moving();
    expect(driven.draft?.grants.get(address)).toEqual({
      address,
      owner: 'b',
      state: 'granted',
      generation: 4,
      heir: 'a',
    });
    driven.written('v2');
    driven.at(120).give(leaseOf('a', 3, { notes: { prepared: `${address}=3` } }));
    expect(driven.draft).toBeUndefined();
    driven.at(140).give(leaseOf('a', 4, { notes: { prepared: `${address}=4` } }));
    expect(driven.draft?.grants.get(address)).toMatchObject({ owner: 'b', state: 'revoking', next: 'a' });
    driven.written('v3').give(leaseOf('b', 5, { notes: { released: `${address}=4` } }));
    expect(driven.draft?.grants.get(address)).toEqual({
      address,
      owner: 'a',
      state: 'granted',
      generation: 5,
      isHandedOver: true,
    });
  });

  test('that does not say so is waited for no longer than a second', () => {
    const driven = moving().written('v2');
    driven.at(900).give(leaseOf('a', 3)).give(leaseOf('b', 4));
    expect(driven.draft).toBeUndefined();
    driven.at(1100).give({ type: 'wake' });
    expect(driven.draft?.grants.get(address)).toMatchObject({ state: 'revoking', next: 'a' });
  });

  test('is named for a node that is late, and forgotten when that is heard of again', () => {
    const driven = settled().at(600).give(leaseOf('a', 10));
    expect(driven.wakeAtMs).toBeCloseTo(666.7, 0);
    driven.at(667).give({ type: 'wake' });
    expect(driven.draft?.grants.get(address)).toMatchObject({ owner: 'b', state: 'granted', heir: 'a' });
    driven.written('v2').at(700).give(leaseOf('b', 11));
    expect(driven.draft?.grants.get(address)).toEqual({ address, owner: 'b', state: 'granted', generation: 4 });
  });

  test('of a node that is dead gets the address as anybody would: by a Lease that is over', () => {
    const driven = settled().at(600).give(leaseOf('a', 10));
    driven.at(667).give({ type: 'wake' }).written('v2');
    driven.at(1000).give({ type: 'wake' });
    expect(driven.draft?.grants.get(address)).toMatchObject({ owner: 'b', state: 'revoking', next: 'a' });
    driven.written('v3').at(1020).give({ type: 'wake' });
    driven.give({ type: 'confirmed', call: driven.state.calls, record: driven.state.leases.get('b')?.record });
    // Not handed over: the link is asked whether somebody has it all the same.
    expect(driven.draft?.grants.get(address)).toEqual({ address, owner: 'a', state: 'granted', generation: 5 });
  });

  test('that cannot have it is passed over as long as it says so; its owner goes on', () => {
    const driven = moving().written('v2');
    driven.at(120).give(leaseOf('a', 3, { notes: { refused: `${address}=4` } }));
    expect(driven.draft?.grants.get(address)).toEqual({ address, owner: 'b', state: 'granted', generation: 4 });
    // And is not named again at once, although it is not the heir any more.
    driven.written('v3').give({ type: 'wake' });
    expect(driven.draft).toBeUndefined();
    driven
      .at(1101)
      .give(leaseOf('b', 5))
      .give(leaseOf('a', 4, { notes: { refused: `${address}=4` } }));
    expect(driven.draft).toBeUndefined();
    driven.at(1120).give(leaseOf('a', 5));
    expect(driven.draft?.grants.get(address)).toMatchObject({ owner: 'b', state: 'granted', heir: 'a' });
  });

  test('that cannot have it gives way to another one', () => {
    const driven = settled().at(100).give(leaseOf('c', 3)).written('v1c');
    driven.give(leaseOf('b', 4, { notes: { leaving: 'true' } }));
    const first = driven.draft?.grants.get(address)?.heir ?? '';
    driven.written('v2').give(leaseOf(first, 5, { notes: { refused: `${address}=4` } }));
    const second = driven.draft?.grants.get(address)?.heir;
    expect([first, second].sort()).toEqual(['a', 'c']);
  });

  test('that could not get ready for what a late node has gets it all the same when nobody else lives', () => {
    const driven = settled().at(600).give(leaseOf('a', 10));
    driven.at(667).give({ type: 'wake' }).written('v2');
    driven.at(700).give(leaseOf('a', 11, { notes: { refused: `${address}=4` } }));
    expect(driven.draft?.grants.get(address)).toEqual({ address, owner: 'b', state: 'granted', generation: 4 });
    driven.written('v3').at(1000).give({ type: 'wake' });
    expect(driven.draft?.grants.get(address)).toMatchObject({ owner: 'b', state: 'revoking', next: 'a' });
  });

  test('is not waited for when the owner could not take it: he has nothing', () => {
    const driven = settled()
      .at(100)
      .give(leaseOf('b', 3, { notes: { refused: `${address}=4` } }));
    expect(driven.draft?.grants.get(address)).toMatchObject({ owner: 'b', state: 'revoking', next: 'a' });
  });

  test('what a node has that is about to end goes to others', () => {
    const driven = settled()
      .at(100)
      .give(leaseOf('b', 3, { notes: { leaving: 'true' } }));
    expect(driven.draft?.grants.get(address)).toMatchObject({ owner: 'b', state: 'granted', heir: 'a' });
  });
});
