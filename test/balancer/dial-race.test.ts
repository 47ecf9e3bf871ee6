import { expect, test } from 'vitest';
import { dialRace, type DialRace } from '../../src/balancer/dial-race.ts';
import type { DialOutcome, ServerRef } from '../../src/balancer/routing-input.ts';
import { deferred, type Deferred } from '../../src/kernel/deferred.ts';
import { fakeClock } from '../kit/fake-clock.ts';

const [a, b, c] = ['a:1', 'b:1', 'c:1'].map((address, index): ServerRef => ({ address, incarnation: index + 1 })) as [
  ServerRef,
  ServerRef,
  ServerRef,
];

/** A race whose dials the test answers by hand. */
function start(servers: ServerRef[], { removed = new Set<ServerRef>(), attemptMs = 2000 } = {}) {
  const clock = fakeClock();
  const reports: [string, DialOutcome['outcome']][] = [];
  const dials = new Map<string, Deferred<string> & { isCancelled: boolean; readonly atMs: number }>();
  const discarded: string[] = [];
  const ended: number[] = [];
  const race: DialRace<string> = dialRace<string>({
    candidates: () => servers.filter((server) => !removed.has(server)).map((server) => ({ server, why: () => '' })),
    dial({ address }, dialler) {
      const dial = { ...deferred<string>(), isCancelled: false, atMs: clock.monotonicMs() };
      dials.set(address, dial);
      dial.promise.then(
        (connection) => dialler.connected(connection),
        (error: unknown) => dialler.failed(error as Error),
      );
      return { cancel: () => void (dial.isCancelled = true) };
    },
    report: (server, { outcome }) => void reports.push([server.address, outcome]),
    discard: (connection) => void discarded.push(connection),
    ended: () => ended.push(clock.monotonicMs()),
    limits: { staggerMs: 250, attemptMs, budgetMs: 3000 },
    clock,
  });
  race.begin();
  const dial = ({ address }: ServerRef) => {
    const found = dials.get(address);
    if (found === undefined) throw new Error(`${address} is not dialled`);
    return found;
  };
  const refuse = (server: ServerRef) =>
    dial(server).reject(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }));
  return { clock, race, reports, dials, dial, refuse, discarded, ended };
}

test('a refused server costs nothing: the next one is dialled at once', async () => {
  const { clock, race, refuse, dial, reports } = start([a, b]);
  refuse(a);
  await clock.settle();
  expect(dial(b).atMs).toBe(0);
  dial(b).resolve('to b');
  expect(await race.result).toMatchObject({ ok: true, connection: 'to b', server: b });
  expect(reports).toEqual([['a:1', 'failed']]);
  expect(race.attempts.map(({ server, outcome }) => `${server} ${outcome}`)).toEqual([
    'a:1 ECONNREFUSED',
    'b:1 connected',
  ]);
});

test('a silent server costs a stagger; what it says later is still heard, and its connection is closed', async () => {
  const { clock, race, dial, reports, discarded, ended } = start([a, b, c]);
  await clock.advance(250);
  dial(b).resolve('to b');
  expect(await race.result).toMatchObject({ ok: true, server: b, tookMs: 0 });
  expect(reports).toEqual([['a:1', 'slow']]);
  dial(a).resolve('to a');
  await clock.settle();
  expect(ended).toHaveLength(1);
  expect(reports).toEqual([
    ['a:1', 'slow'],
    ['a:1', 'late'],
  ]);
  expect(discarded).toEqual(['to a']);
  expect(clock.pendingTimers).toBe(0);
});

test('one that never answers has failed after its limit, also when the client was served long ago', async () => {
  const { clock, race, dial, reports, ended } = start([a, b]);
  await clock.advance(250);
  dial(b).resolve('to b');
  await race.result;
  await clock.advance(1750);
  expect(reports).toEqual([
    ['a:1', 'slow'],
    ['a:1', 'failed'],
  ]);
  expect(dial(a).isCancelled).toBe(true);
  await clock.settle();
  expect(ended).toHaveLength(1);
});

test('of one that is better and answers first, the later ones are given up without a word about them', async () => {
  const { clock, race, dial, reports } = start([a, b]);
  await clock.advance(250);
  dial(a).resolve('to a');
  expect(await race.result).toMatchObject({ server: a });
  expect(dial(b).isCancelled).toBe(true);
  expect(reports).toEqual([]);
});

test('when all have failed it is over', async () => {
  const { race, refuse, clock } = start([a, b]);
  refuse(a);
  await clock.settle();
  refuse(b);
  expect(await race.result).toEqual({ ok: false, gaveUp: 'all servers failed' });
  expect(clock.pendingTimers).toBe(0);
});

test('the whole has a budget: who is silent then has failed', async () => {
  const { race, clock, reports, dial, ended, discarded } = start([a, b], { attemptMs: 5000 });
  await clock.advance(2999);
  expect(reports).toEqual([]);
  await clock.advance(1);
  expect(await race.result).toEqual({ ok: false, gaveUp: 'out of time' });
  expect(reports).toEqual([
    ['a:1', 'failed'],
    ['b:1', 'failed'],
  ]);
  expect([dial(a).isCancelled, dial(b).isCancelled]).toEqual([true, true]);
  await clock.settle();
  expect(ended).toHaveLength(1);
  // What a dial tells that was given up is told to nobody.
  dial(a).resolve('to a');
  dial(b).reject(new Error('connect ECONNRESET'));
  await clock.settle();
  expect(ended).toHaveLength(1);
  expect(reports).toHaveLength(2);
  expect(discarded).toEqual([]);
});

test('without a server there is nothing to wait for', async () => {
  const { race, clock, ended } = start([]);
  expect(await race.result).toEqual({ ok: false, gaveUp: 'no server' });
  expect(ended).toHaveLength(1);
  expect(clock.pendingTimers).toBe(0);
});

test('a client that leaves ends all dials, and no server is blamed', async () => {
  const { race, clock, dial, reports } = start([a, b]);
  await clock.advance(250);
  race.cancel();
  expect(await race.result).toEqual({ ok: false, gaveUp: 'the client left' });
  expect([dial(a).isCancelled, dial(b).isCancelled]).toEqual([true, true]);
  expect(reports).toEqual([]);
  expect(clock.pendingTimers).toBe(0);
});

test('L7: a server that is removed while others are dialled is skipped, one that is being dialled is given up', async () => {
  const removed = new Set<ServerRef>();
  const { race, clock, refuse, dials, dial } = start([a, b, c], { removed });
  removed.add(b);
  race.abandon(b);
  refuse(a);
  await clock.settle();
  expect([...dials.keys()]).toEqual(['a:1', 'c:1']);
  removed.add(c);
  race.abandon(c);
  expect(dial(c).isCancelled).toBe(true);
  expect(await race.result).toEqual({ ok: false, gaveUp: 'all servers failed' });
});

test('L7: servers that come while others are dialled are dialled too, and without a wait when all others have gone', async () => {
  const removed = new Set<ServerRef>();
  const list = [a];
  const { race, clock, dial, dials } = start(list, { removed });
  await clock.advance(600);
  expect([...dials.keys()]).toEqual(['a:1']);
  list.push(b);
  await clock.advance(200);
  expect([...dials.keys()]).toEqual(['a:1', 'b:1']);
  list.push(c);
  removed.add(a).add(b);
  race.abandon(a);
  race.abandon(b);
  expect([...dials.keys()]).toEqual(['a:1', 'b:1', 'c:1']);
  dial(c).resolve('to c');
  expect(await race.result).toMatchObject({ ok: true, server: c });
  expect(clock.pendingTimers).toBe(0);
});

test('a server that left while it was dialled is dialled again when it comes back', async () => {
  const removed = new Set<ServerRef>();
  const { race, clock, dial, refuse } = start([a, b], { removed });
  const first = dial(a);
  removed.add(a);
  race.abandon(a);
  removed.delete(a);
  refuse(b);
  await clock.settle();
  expect(first.isCancelled).toBe(true);
  dial(a).resolve('to a');
  expect(await race.result).toMatchObject({ ok: true, server: a });
});

test('a fault of this machine is no fault of the server', async () => {
  const { race, dial, reports } = start([a]);
  dial(a).reject(Object.assign(new Error('connect EMFILE'), { code: 'EMFILE' }));
  expect(await race.result).toMatchObject({ ok: false, gaveUp: 'all servers failed' });
  expect(reports).toEqual([]);
});
