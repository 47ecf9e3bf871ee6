import { expect, test } from 'vitest';
import { causeChain } from '../../src/error/startup-error.ts';
import { blockedError, cannotStart, evaluateGates } from '../../src/executor/gates.ts';
import type { Need } from '../../src/unit/schema.ts';
import { unitStates, type UnitSnapshot, type UnitStateName } from '../../src/unit/state.ts';
import { errorNamed } from './machine-fixture.ts';
import { snapshotOf } from './snapshots.ts';

const hard = (unit: string, until: 'ready' | 'started' = 'ready'): Need => ({
  kind: 'hard',
  unit,
  until,
  onLoss: 'keep',
});
const soft = (unit: string, maxWaitMs = 1000): Need => ({ kind: 'soft', unit, maxWaitMs });
const gatesOf = (needs: readonly Need[], targets: readonly UnitSnapshot[], waitedMs = 0) =>
  evaluateGates(needs, (name) => targets.find(({ unit }) => unit === name) ?? snapshotOf(name, 'inactive'), waitedMs);

/** One gate on a target in each state: what contract 1 says. */
const table: Record<UnitStateName, { hard: string; started: string; soft: string }> = {
  inactive: { hard: 'closed', started: 'closed', soft: 'closed' },
  waiting: { hard: 'closed', started: 'closed', soft: 'closed' },
  blocked: { hard: 'blocked', started: 'blocked', soft: 'open' },
  starting: { hard: 'closed', started: 'open', soft: 'closed' },
  ready: { hard: 'open', started: 'open', soft: 'open' },
  unhealthy: { hard: 'closed', started: 'open', soft: 'closed' },
  done: { hard: 'open', started: 'open', soft: 'open' },
  backoff: { hard: 'closed', started: 'closed', soft: 'closed' },
  failed: { hard: 'blocked', started: 'blocked', soft: 'open' },
  stopping: { hard: 'closed', started: 'closed', soft: 'closed' },
  stopped: { hard: 'closed', started: 'closed', soft: 'closed' },
};

test.each(unitStates)('[S7] a gate on a unit that is %s', (state) => {
  const target = snapshotOf('a', state, { exhausted: state === 'failed', pid: 7 });
  expect({
    hard: gatesOf([hard('a')], [target]).kind,
    started: gatesOf([hard('a', 'started')], [target]).kind,
    soft: gatesOf([soft('a')], [target]).kind,
  }).toEqual(table[state]);
});

test('[S7] a parallel edge never closes anything', () => {
  for (const state of unitStates) {
    expect(gatesOf([{ kind: 'parallel', unit: 'a' }], [snapshotOf('a', state)])).toEqual({ kind: 'open', missing: [] });
  }
});

test('[S7] a soft edge with maxWait 0 never closes anything, and nothing is missing for it', () => {
  for (const state of unitStates) {
    expect(gatesOf([soft('a', 0)], [snapshotOf('a', state)])).toEqual({ kind: 'open', missing: [] });
  }
});

test('until: started waits for the process, not for the decision to start it', () => {
  expect(gatesOf([hard('a', 'started')], [snapshotOf('a', 'starting')]).kind).toBe('closed');
});

test('a unit at its limit cannot start, whatever it is trying, until it is up', () => {
  for (const state of unitStates) {
    const isUp = state === 'ready' || state === 'done';
    expect(cannotStart(snapshotOf('a', state, { exhausted: true }))).toBe(!isUp);
  }
});

test('a soft gate tells its deadline, opens at it, and remembers who is missing and why', () => {
  const slow = [snapshotOf('a', 'starting'), snapshotOf('b', 'starting')];
  const needs = [soft('a', 1000), soft('b', 300)];
  expect(gatesOf(needs, slow, 0)).toMatchObject({ kind: 'closed', softDeadlineMs: 300 });
  expect(gatesOf(needs, slow, 300)).toMatchObject({
    kind: 'closed',
    softDeadlineMs: 1000,
    waitingFor: [{ unit: 'a' }],
  });
  expect(gatesOf(needs, slow, 1000)).toMatchObject({
    kind: 'open',
    missing: [
      { unit: 'a', kind: 'soft', reason: 'not ready in time' },
      { unit: 'b', kind: 'soft', reason: 'not ready in time' },
    ],
  });
});

test('a soft gate on a failed unit opens at once, with the failure as the cause', () => {
  const lastError = errorNamed('no such file');
  const failed = snapshotOf('a', 'failed', { exhausted: true, lastError });
  expect(gatesOf([soft('a')], [failed])).toMatchObject({
    kind: 'open',
    missing: [{ reason: 'failed', cause: lastError }],
  });
});

test('all gates are looked at together: the first hard failure is told although others only wait', () => {
  const targets = [
    snapshotOf('a', 'starting'),
    snapshotOf('b', 'failed', { exhausted: true }),
    snapshotOf('c', 'blocked'),
  ];
  const gates = gatesOf([hard('a'), hard('b'), hard('c'), soft('d')], targets);
  expect(gates).toMatchObject({ kind: 'blocked', by: { unit: 'b' } });
  expect(gates.kind === 'blocked' && gates.waitingFor.map(({ unit }) => unit)).toEqual(['a', 'b', 'c', 'd']);
});

test('[S4] the error of a blocked unit leads down to the root cause', () => {
  const root = errorNamed('ENOENT');
  const first = blockedError('b', 0, snapshotOf('a', 'failed', { lastError: root }), 10);
  const second = blockedError('c', 0, snapshotOf('b', 'blocked', { lastError: first }), 20);
  expect(causeChain(second)).toEqual([second, first, root]);
  expect([second.message, second.code]).toEqual(['cannot start c: blocked by b', 'ERR_BLOCKED']);
});
