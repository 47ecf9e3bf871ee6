import { describe, expect, test } from 'vitest';
import { lostLease, penaltyOf, type FlapsOf } from '../../../src/vip/coordination/flaps.ts';
import { planNodes } from '../../../src/vip/coordination/next-assignment.ts';
import { noAssignment, type StoredAssignment } from '../../../src/vip/coordination/stored-assignment.ts';
import { flapHalfLifeMs } from '../../../src/vip/plan/flap-penalty.ts';
import { Driven, leaseOf, rules } from './coordinator-kit.ts';

const address = '10.0.0.1';

const policy = { mayRebalance: false, startAbove: 1, stopBelow: 1, restMs: 0, movesAtOnce: 1, movesPerHour: 1 };

/** `a` decides, `b` holds the address under generation 4. */
function settled(): Driven {
  const grants = new Map([[address, { address, owner: 'b', state: 'granted', generation: 4 } as const]]);
  const driven = new Driven();
  driven.give({ type: 'wanted', wanted: { addresses: [{ address, weight: 1 }], nodes: new Map(), policy } });
  driven.give(leaseOf('a', 1)).give(leaseOf('b', 2)).give({ type: 'synced' }).give({ type: 'elected', epoch: 3 });
  const assignment = { ...noAssignment, epoch: 3, revision: 9, lastGeneration: 4, standbys: ['b'], grants };
  return driven.read(assignment, 'v1');
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
  driven.read(revoking, 'v2');
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

/** Nobody could renew anything; the first to have its Leases again is this one. */
function afterOutage(): Driven {
  const driven = settled();
  const { stored } = driven.state;
  if (stored === undefined) throw new Error('it was read');
  return driven.give({ type: 'deposed' }).at(60_000).give({ type: 'elected', epoch: 4 }).read(stored.assignment, 'v1');
}

test('after an outage owners have the length of a Lease to come back: nothing is taken from anybody before', () => {
  const driven = afterOutage();
  expect(driven.draft).toBeUndefined();
  driven.at(60_100).give(leaseOf('a', 11));
  expect(driven.draft).toBeUndefined();
  // The owner is back: there is nothing to move.
  driven.at(60_200).give(leaseOf('b', 12));
  expect(driven.draft?.grants.get(address) ?? { owner: 'b', state: 'granted' }).toMatchObject({
    owner: 'b',
    state: 'granted',
  });
});

test('after an outage owners have that time too when a Lease was back before the election', () => {
  const driven = settled();
  const { stored } = driven.state;
  if (stored === undefined) throw new Error('it was read');
  driven.give({ type: 'deposed' }).at(60_000).give(leaseOf('a', 11)).at(60_300).give({ type: 'elected', epoch: 4 });
  driven.read(stored.assignment, 'v1');
  expect(driven.draft).toBeUndefined();
  driven.at(60_999).give(leaseOf('a', 12));
  expect(driven.draft).toBeUndefined();
  expect(driven.wakeAtMs).toBe(61_000);
  driven.at(61_000).give({ type: 'wake' });
  expect(driven.draft?.grants.get(address)).toMatchObject({ owner: 'b', state: 'revoking' });
});

test('after an outage an owner who does not come back is given up when that time is over', () => {
  const driven = afterOutage();
  driven.at(60_900).give(leaseOf('a', 11));
  expect(driven.draft).toBeUndefined();
  expect(driven.wakeAtMs).toBeLessThanOrEqual(61_000);
  driven.at(61_000).give({ type: 'wake' });
  expect(driven.draft?.grants.get(address)).toMatchObject({ owner: 'b', state: 'revoking' });
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
  driven.give({ type: 'seen', assignment: { ...noAssignment, revision: 9 } });
  expect(driven.effects).toEqual([]);
  driven.give({ type: 'seen', assignment: { ...noAssignment, revision: 10 } });
  expect(driven.effects).toEqual([{ type: 'read', call: driven.state.calls }]);
  driven.read(revoking, 'v2');
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

describe('a node whose Lease was over', () => {
  const penaltyNow = ({ state, nowMs }: Driven) =>
    planNodes(state, rules, nowMs).find(({ name }) => name === 'b')?.penalty;
  /** `b` dies with the address, which comes back to it when it lives again. */
  const dieAndLive = (driven: Driven, version: number): Driven => {
    const fromMs = driven.nowMs;
    driven.give(leaseOf('b', version - 1));
    const here = driven.state.stored?.version ?? '';
    const late = driven.at(fromMs + 900).give(leaseOf('a', version));
    if (late.draft !== undefined) late.written(`${here}a`);
    driven
      .at(fromMs + 1000)
      .give({ type: 'wake' })
      .written(`${here}b`);
    driven.at(fromMs + 1020).give({ type: 'wake' });
    driven.give({ type: 'confirmed', call: driven.state.calls, record: driven.state.leases.get('b')?.record });
    driven.written(`${here}c`).give(leaseOf('b', version + 1));
    return driven;
  };
  const backAt = (driven: Driven, version: number): Driven => {
    // What it had is granted to it again.
    const grants = new Map([[address, { address, owner: 'b', state: 'granted', generation: version } as const]]);
    const assignment = {
      ...noAssignment,
      epoch: 3,
      revision: 100 * version,
      lastGeneration: version,
      standbys: ['b'],
      grants,
    };
    driven.give({ type: 'elected', epoch: 3 });
    return driven.give({
      type: 'read',
      call: driven.state.calls,
      stored: { version: `v${String(version)}`, assignment },
    });
  };

  test('once has its full share; from the second time on it is given less, until that is forgotten', () => {
    const driven = dieAndLive(settled(), 20);
    expect(driven.state.stored?.assignment.grants.get(address)?.owner).toBe('a');
    expect(penaltyNow(driven)).toBe(0);
    dieAndLive(backAt(driven, 30), 40);
    expect(penaltyNow(driven)).toBeCloseTo(1, 1);
    dieAndLive(backAt(driven, 50), 60);
    expect(penaltyNow(driven)).toBeCloseTo(2, 1);
    driven.nowMs += flapHalfLifeMs;
    expect(penaltyNow(driven)).toBeCloseTo(0.5, 1);
    driven.nowMs += flapHalfLifeMs;
    expect(penaltyNow(driven)).toBe(0);
  });

  type Change = readonly [atMs: number, of: 'b' | 'coordinator'];
  test.each<readonly [number, string, readonly Change[]]>([
    [
      1,
      'it was renewed after the election',
      [
        [0, 'coordinator'],
        [10, 'b'],
      ],
    ],
    [
      1,
      'it was renewed after the last election',
      [
        [0, 'coordinator'],
        [10, 'b'],
        [20, 'coordinator'],
        [30, 'b'],
      ],
    ],
    [
      0,
      'it was renewed before the election alone',
      [
        [0, 'b'],
        [10, 'coordinator'],
      ],
    ],
    [
      0,
      'it was renewed before the last election alone',
      [
        [0, 'coordinator'],
        [10, 'b'],
        [20, 'coordinator'],
      ],
    ],
    [0, 'it was only seen, and never renewed', [[0, 'coordinator']]],
  ])('counts %i times when %s', (counts, _when, changes) => {
    const driven = new Driven().give(leaseOf('a', 1)).give(leaseOf('b', 2)).give({ type: 'synced' });
    driven.give({ type: 'wanted', wanted: { addresses: [{ address, weight: 1 }], nodes: new Map(), policy } });
    let version = 10;
    for (const [atMs, of] of changes) {
      driven.at(atMs);
      if (of === 'b') driven.give(leaseOf('b', (version += 1)));
      else driven.give({ type: 'elected', epoch: (version += 1) });
    }
    // Now it is over, and so is the time to come back after an outage; it is read once more.
    driven.at(5000).give(leaseOf('a', 50)).at(5999).give(leaseOf('a', 51)).at(6000);
    const assignment = { ...revoking, epoch: driven.state.epoch ?? 0, standbys: [] };
    driven.read(assignment);
    expect(driven.effects).toContainEqual(expect.objectContaining({ type: 'confirm', node: 'b' }));
    driven.give({ type: 'confirmed', call: driven.state.calls, record: driven.state.leases.get('b')?.record });
    expect(driven.state.flaps.size).toBe(counts);
  });

  test('and was renewed after all, as after an outage of the API, is no worse for it', () => {
    const driven = settled();
    for (const round of [1, 2, 3]) {
      const fromMs = driven.nowMs;
      const late = driven.at(fromMs + 900).give(leaseOf('a', 100 * round));
      if (late.draft !== undefined) late.written(`w${String(round)}a`);
      driven.at(fromMs + 1000).give({ type: 'wake' });
      if (driven.draft !== undefined) driven.written(`w${String(round)}b`);
      driven.at(fromMs + 1020).give({ type: 'wake' });
      const renewed = leaseOf('b', 100 * round + 1);
      if (renewed.type !== 'lease') throw new Error('no Lease');
      driven.give({ type: 'confirmed', call: driven.state.calls, record: renewed.record });
    }
    expect(penaltyNow(driven)).toBe(0);
  });
});

test.each([
  {
    what: 'a Lease that is over is counted once',
    lost: [
      ['1', 0],
      ['1', 10],
    ],
    after: 10,
    penalty: 0,
  },
  {
    what: 'the second time is the first that counts',
    lost: [
      ['1', 0],
      ['2', 10],
    ],
    after: 10,
    penalty: 1,
  },
  {
    what: 'each time more counts one more',
    lost: [
      ['1', 0],
      ['2', 0],
      ['3', 0],
    ],
    after: 0,
    penalty: 2,
  },
  {
    what: 'a Lease that is gone is one too',
    lost: [
      ['1', 0],
      [undefined, 0],
    ],
    after: 0,
    penalty: 1,
  },
  {
    what: 'half is forgotten in a half-life',
    lost: [
      ['1', 0],
      ['2', 0],
      ['3', 0],
    ],
    after: flapHalfLifeMs,
    penalty: 0.5,
  },
] as const)('flaps: $what', ({ lost, after, penalty }) => {
  let flaps: FlapsOf = new Map();
  for (const [version, atMs] of lost) flaps = lostLease(flaps, { node: 'b', version }, rules, atMs);
  expect(penaltyOf(flaps, 'b', rules, after)).toBeCloseTo(penalty, 3);
  expect(penaltyOf(flaps, 'a', rules, after)).toBe(0);
});

describe('[V2] where traffic is evened out', () => {
  const addresses = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4'];
  const wanted = {
    addresses: addresses.map((each) => ({ address: each, weight: 1 })),
    nodes: new Map(),
    policy: { ...policy, mayRebalance: true, movesAtOnce: 5, movesPerHour: 100 },
  };
  /** `b` has the first two, `c` the others; the first minutes are over, in which addresses rest. */
  function settledOn(balance: 'load' | 'count'): Driven {
    const grants = new Map(
      addresses.map((each, at) => {
        const owner = at < 2 ? 'b' : 'c';
        return [each, { address: each, owner, state: 'granted', generation: at + 1 } as const];
      }),
    );
    const driven = new Driven({ balance, node: 'b' });
    driven.give({ type: 'wanted', wanted });
    driven.give(leaseOf('b', 1)).give(leaseOf('c', 2)).give({ type: 'synced' }).give({ type: 'elected', epoch: 3 });
    return driven.read({ ...noAssignment, epoch: 3, revision: 9, lastGeneration: 4, standbys: ['c'], grants }, 'v1');
  }
  /** What `b` and `c` say as they renew, a renewal each half second until then. */
  function renewedUntil(driven: Driven, untilMs: number, said: readonly [b: string, c: string]): Driven {
    while (driven.nowMs < untilMs) {
      driven.nowMs += 500;
      for (const [at, load] of said.entries()) {
        driven.give(leaseOf(['b', 'c'][at] ?? '', driven.nowMs * 10 + at, { notes: load === '' ? {} : { load } }));
        if (driven.effects.some(({ type }) => type === 'write')) return driven;
      }
    }
    return driven;
  }
  const busyTogether = ['10.0.0.1=20 10.0.0.2=20', '10.0.0.3=0 10.0.0.4=0'] as const;

  test('two busy addresses of one node are parted, once it was planned for: not with each renewal', () => {
    // The first look of an elected one is over by then.
    const driven = renewedUntil(renewedUntil(settledOn('load'), 5000, ['', '']), 60_000, busyTogether);
    expect(driven.nowMs).toBeGreaterThanOrEqual(15_000);
    const heirs = [...(driven.draft?.grants.values() ?? [])].filter(({ heir }) => heir !== undefined);
    expect(heirs).toMatchObject([{ owner: 'b', heir: 'c' }, ...heirs.slice(1).map(() => ({ owner: 'c', heir: 'b' }))]);
  });

  test.each([
    ['where the count is, traffic is of no account', 'count', busyTogether],
    ['even traffic moves nothing', 'load', ['10.0.0.1=20 10.0.0.2=0', '10.0.0.3=20 10.0.0.4=0']],
    ['nor does traffic that nobody has told', 'load', ['', '']],
  ] as const)('%s', (_what, balance, said) => {
    const driven = renewedUntil(settledOn(balance), 60_000, said);
    expect(driven.draft).toBeUndefined();
    expect(driven.nowMs).toBe(60_000);
  });

  test('what was told last counts on while a new owner has not measured it', () => {
    const driven = renewedUntil(settledOn('load'), 20_000, ['10.0.0.1=20 10.0.0.2=0', '10.0.0.3=20 10.0.0.4=0']);
    expect(driven.draft).toBeUndefined();
    expect(renewedUntil(driven, 40_000, ['10.0.0.1=20 10.0.0.2=0', '']).draft).toBeUndefined();
    expect(driven.state.levels.get('10.0.0.3')).toBe(20);
  });
});
