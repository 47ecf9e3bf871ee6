import { expect, test } from 'vitest';
import { planAdoption } from '../../src/executor/plan-adoption.ts';
import type { Leftover } from '../../src/process/leftover.ts';
import type { RunRecord } from '../../src/process/run-record.ts';
import { fakeGraph } from '../kit/fake-graph.ts';

const hash = '0'.repeat(16);
const left = (unit: string, change: Partial<RunRecord> = {}, rest: Partial<Leftover> = {}): Leftover => {
  const target = { pid: 7, startTicks: 7, scope: 'cgroup', run: unit } as const;
  const record: RunRecord = {
    ...{ version: 1, unit, generation: 3, hash, pid: 7, startTicks: 7, bootId: 'b', run: unit, program: '/bin/x' },
    ...{ scope: 'cgroup', stopSignal: 'SIGTERM', stopWithinMs: 1, startedWallMs: 0 },
    ...change,
  };
  return { unit, generation: 3, pids: [7], record, isMainAlive: true, target, ...rest };
};

// worker ─► api ─(onLoss: restart)─► db;  prep: a task;  certs: a builtin
const graph = fakeGraph('worker -> hard api; api -> hard db onLoss=restart, hard certs onLoss=restart; prep; told', {
  prep: { kind: 'task' },
  certs: { kind: 'builtin' },
  told: { ready: { all: [{ notify: true }, { tcp: '127.0.0.1:1' }] } },
});
const planOf = (leftovers: readonly Leftover[], wanted = graph.order) => {
  const { adopt, end } = planAdoption(graph, wanted, leftovers);
  return {
    adopt: [...adopt.keys()].sort(),
    end: end.map(({ leftover, reason }) => `${leftover.unit}: ${reason}`).sort(),
  };
};

test.each<readonly [string, Leftover, string]>([
  ['a unit that is not in the graph', left('gone'), 'there is no such unit any more'],
  ['a changed unit', left('db', { hash: 'other' }), 'its unit has changed'],
  ['a run without a record', left('db', {}, { record: undefined }), 'it is not recorded'],
  ['a run whose main process has ended', left('db', {}, { isMainAlive: false }), 'its main process has ended'],
  ['a task that runs', left('prep'), 'a task that was cut off runs again'],
  ['what has to say that it is ready, and had not', left('told'), 'it was not ready yet'],
  ['a builtin of that name', left('certs'), 'its unit has changed'],
])('%s is ended', (_what, leftover, reason) => {
  const { adopt, end } = planOf([leftover, left('worker')]);
  expect(adopt).toEqual(['worker']);
  expect(end).toEqual([`${leftover.unit}: ${reason}`]);
});

test('what is not wanted is ended', () => {
  expect(planOf([left('db'), left('worker')], ['db'])).toEqual({ adopt: ['db'], end: ['worker: it is not wanted'] });
});

test('what matches is adopted, also what has said before that it is ready, and a finished task', () => {
  const told = left('told', { ready: true });
  const done = left('prep', { finished: true }, { pids: [], isMainAlive: false });
  expect(planOf([left('db'), left('api'), left('worker'), told, done])).toEqual({
    adopt: ['api', 'db', 'prep', 'told', 'worker'],
    end: [],
  });
});

test('what is bound to a service that is started anew is ended; what only needs it is not', () => {
  expect(planOf([left('api'), left('worker')])).toEqual({ adopt: ['worker'], end: ['api: it lost db'] });
});

test('a finished task does not stand when nothing of its system runs', () => {
  const done = left('prep', { finished: true }, { pids: [], isMainAlive: false });
  expect(planOf([done])).toEqual({ adopt: [], end: ['prep: nothing of its system runs'] });
});

test('what would run another program now is ended, a finished task too', () => {
  const done = left('prep', { finished: true }, { pids: [], isMainAlive: false });
  const isSameProgram = ({ name }: { readonly name: string }) => name === 'worker';
  const { adopt, end } = planAdoption(graph, graph.order, [left('db'), left('worker'), done], isSameProgram);
  expect([...adopt.keys()]).toEqual(['worker']);
  expect(end.map(({ leftover, reason }) => `${leftover.unit}: ${reason}`)).toEqual([
    'db: its program has changed',
    'prep: its program has changed',
  ]);
});
