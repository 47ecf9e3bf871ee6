import { expect, test } from 'vitest';
import { newAgent } from '../../src/vip/coordination/agent.ts';
import type { AgentState, HoldingPhase } from '../../src/vip/coordination/agent-model.ts';
import type { LeaseView } from '../../src/vip/coordination/lease-holder.ts';
import { prepareWithinMs } from '../../src/vip/coordination/heirs.ts';
import { noAssignment } from '../../src/vip/coordination/stored-assignment.ts';
import { handOver, idleMs } from '../../src/vip/hand-over.ts';
import { fakeClock } from '../kit/fake-clock.ts';

interface Place {
  readonly phases?: readonly HoldingPhase[];
  readonly standbys?: readonly string[];
  readonly isCoordinator?: boolean;
  readonly isLeaseGood?: boolean;
}

/** A node that is told to end with addresses in these phases. */
function leaving({ phases = ['open'], standbys = ['b'], isCoordinator = true, isLeaseGood = true }: Place) {
  const clock = fakeClock();
  const holdingsOf = (all: readonly HoldingPhase[]): AgentState['holdings'] =>
    new Map(all.map((phase, at) => [`10.0.0.${String(at)}`, { generation: 1, phase, sinceMs: 0 }]));
  let state: AgentState = { ...newAgent, view: { ...noAssignment, standbys }, holdings: holdingsOf(phases) };
  let hasLeft = false;
  const election: LeaseView = { state: 'held', isOurs: isCoordinator, holder: 'a/1', leftMs: 1000 };
  const done = handOver({
    agent: {
      leave: () => (hasLeft = true),
      get state() {
        return state;
      },
    },
    own: { view: { isOurs: isLeaseGood, leftMs: 1000 } },
    election: { view: election },
    clock,
  });
  return {
    clock,
    done,
    hasLeft: () => hasLeft,
    becomes(next: readonly HoldingPhase[]) {
      const revision = (state.view?.revision ?? 0) + 1;
      state = { ...state, view: { ...noAssignment, standbys, revision }, holdings: holdingsOf(next) };
    },
  };
}

test.each<[string, Place]>([
  ['nothing', { phases: [] }],
  ['no other node', { standbys: [] }],
  ['no Lease', { isLeaseGood: false }],
])('a node with %s ends at once', async (_what, place) => {
  const { clock, done, hasLeft } = leaving(place);
  await clock.run(done);
  expect([clock.monotonicMs(), hasLeft()]).toEqual([0, false]);
});

test('one that has something waits until others have it, and it was removed here', async () => {
  const { clock, done, becomes, hasLeft } = leaving({});
  await clock.advance(500);
  expect(hasLeft()).toBe(true);
  becomes(['silent']);
  await clock.advance(1000);
  becomes([]);
  await clock.run(done);
  expect(clock.monotonicMs()).toBeLessThan(1600);
});

test('nobody takes it: it does not wait for long', async () => {
  const { clock, done } = leaving({ isCoordinator: false });
  await clock.run(done);
  expect(clock.monotonicMs()).toBeLessThan(idleMs + 100);
});

test('it waits for longer than the coordinator does for an heir that is not ready', async () => {
  const { clock, done, becomes } = leaving({ isCoordinator: false });
  let isOver = false;
  void done.then(() => (isOver = true));
  await clock.advance(prepareWithinMs + 200);
  expect(isOver).toBe(false);
  becomes(['silent']);
  await clock.advance(300);
  expect(isOver).toBe(false);
  becomes([]);
  await clock.run(done);
});

test('others take it for ever: it waits for three seconds', async () => {
  const { clock, done, becomes } = leaving({});
  for (let count = 0; count < 10; count += 1) {
    await clock.advance(400);
    becomes(['open']);
  }
  await done;
  expect(clock.pendingTimers).toBe(0);
});
