import { expect, test } from 'vitest';
import { operate, type Operation } from '../../src/app/vip-operator.ts';
import type { VipKnowledge } from '../../src/vip/answer-operator.ts';
import { newCoordinator } from '../../src/vip/coordination/coordinator.ts';
import type { LeaseRecord } from '../../src/vip/coordination/lease-model.ts';
import { noAssignment } from '../../src/vip/coordination/stored-assignment.ts';
import { plan } from '../../src/vip/plan/plan.ts';
import type { WindowState } from '../../src/vip/plan/maintenance-window.ts';
import { noWishes, readWishes, stateOf, withPins, type Wishes } from '../../src/vip/service/wishes.ts';

const policy = { mayRebalance: true, startAbove: 1.2, stopBelow: 1, restMs: 0, movesAtOnce: 5, movesPerHour: 1000 };
const address = '10.1.2.3';
const lease = (node: string): LeaseRecord => ({
  uid: node,
  version: '1',
  holder: `${node}/1`,
  transitions: 0,
  durationMs: 15_000,
  nonce: '1',
  notes: {},
});

function scene(epoch: number | undefined, window?: WindowState) {
  const written: Wishes[] = [];
  let wishes = noWishes;
  const wantedBy = (asked: Wishes) => ({
    addresses: withPins([{ address, weight: 1 }], asked),
    nodes: new Map(['a', 'b'].map((name) => [name, { state: stateOf(name, 'ready', asked) }])),
    policy,
  });
  const grant = { address, owner: 'a', state: 'granted', generation: 1 } as const;
  const known: VipKnowledge = {
    node: 'a',
    leaseGood: true,
    election: { state: 'held', isOurs: epoch !== undefined, holder: 'b/1', leftMs: undefined },
    assignment: undefined,
    coordinator: {
      ...newCoordinator,
      epoch,
      leases: new Map(['a', 'b'].map((name) => [name, { record: lease(name), changedAtMs: 0 }])),
      stored: { version: '1', assignment: { ...noAssignment, grants: new Map([[address, grant]]) } },
      wanted: wantedBy(noWishes),
    },
    rules: { node: 'a', plan, graceMs: 100, leaseDurationMs: 15_000, standbys: 2, flapHalfLifeMs: 1 },
    services: undefined,
    nowMs: 0,
  };
  const operation: Omit<Operation, 'verb' | 'request'> = {
    known,
    follower: {
      get wishes() {
        return wishes;
      },
      window,
      wantedBy,
      wished: (asked) => void (wishes = asked),
    },
    api: {
      apply(_path, body) {
        written.push(readWishes(body));
        return Promise.resolve({});
      },
    },
    namespace: 'kube-system',
    clock: { wallMs: () => 1_000 },
    signal: new AbortController().signal,
  };
  return { operation, written };
}

test('what is asked for is written down, and answered with what follows from it', async () => {
  const { operation, written } = scene(0);
  const answer = await operate({ ...operation, verb: 'drain', request: { node: 'a' } });
  expect(answer).toMatchObject({
    asked: 'drain a',
    plan: { moves: [{ address, from: 'a', to: 'b', reason: 'drain' }] },
  });
  await operate({ ...operation, verb: 'cordon', request: { node: 'b' } });
  expect(written).toEqual([
    { draining: ['a'], cordoned: [], pins: {} },
    { draining: ['a'], cordoned: ['b'], pins: {} },
  ]);
});

test('what is asked of a machine without a Node object is taken, and it is said that it means nothing to Services', async () => {
  const { operation } = scene(0);
  const nodes = [{ metadata: { name: 'a', namespace: '', uid: 'a', resourceVersion: '1', creationTimestamp: '' } }];
  const services = { allocations: [], addresses: [], nodes, apiServers: [] };
  const known = { ...operation.known, services };
  const notesOf = async (node: string) =>
    (await operate({ ...operation, known, verb: 'drain', request: { node } })).notes;
  expect(await notesOf('a')).toBeUndefined();
  expect(await notesOf('b')).toEqual([
    'b has no Node object: no address of a Service can be on it; it gives up the API servers’ own alone',
  ]);
  // Not known yet: then nothing is said.
  expect((await operate({ ...operation, verb: 'drain', request: { node: 'b' } })).notes).toBeUndefined();
});

test('nothing is moved for balance where each address is elected by itself', async () => {
  const { operation, written } = scene(0, { isOpen: false, changesAtMs: 5_000_000 });
  const assignment = { ...noAssignment, election: 'per-service' as const };
  const coordinator = { ...operation.known.coordinator, stored: { version: '1', assignment } };
  const known = { ...operation.known, coordinator };
  await expect(operate({ ...operation, known, verb: 'rebalance', request: {} })).rejects.toMatchObject({
    code: 'ERR_USAGE',
    message: 'nothing is moved for balance here: each address is elected by itself (--vip-election per-service)',
  });
  expect(written).toEqual([]);
});

test('on a node that does not decide nothing is written, and it says which one does', async () => {
  const { operation, written } = scene(undefined);
  await expect(operate({ ...operation, verb: 'drain', request: { node: 'a' } })).rejects.toMatchObject({
    code: 'ERR_CONTROL',
    message: 'only the coordinator plans: ask on b, which decides',
  });
  expect(written).toEqual([]);
});

test('a node that there is not is refused, with those that there are', async () => {
  const { operation, written } = scene(0);
  await expect(operate({ ...operation, verb: 'drain', request: { node: 'c' } })).rejects.toMatchObject({
    code: 'ERR_USAGE',
    message: 'c is none of a, b',
  });
  expect(written).toEqual([]);
});

test('rebalance is written down only where a window would have to be waited for', async () => {
  const without = scene(0);
  await operate({ ...without.operation, verb: 'rebalance', request: {} });
  expect(without.written).toEqual([]);
  const closed = scene(0, { isOpen: false, changesAtMs: 5_000_000 });
  await operate({ ...closed.operation, verb: 'rebalance', request: {} });
  expect(closed.written).toMatchObject([{ rebalanceUntilMs: 1_000 + 10 * 60_000 }]);
});
