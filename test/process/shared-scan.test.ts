import { expect, test } from 'vitest';
import type { ProcReader, ProcStat } from '../../src/process/proc-reader.ts';
import { findMembers, type StopTarget } from '../../src/process/scope-members.ts';
import { sharedScan } from '../../src/process/shared-scan.ts';
import { fakeClock } from '../kit/fake-clock.ts';

const statOf = (pid: number, news: Partial<ProcStat> = {}): ProcStat => ({
  pid,
  state: 'S',
  ppid: 1,
  pgrp: pid,
  session: pid,
  startTicks: 1000 + pid,
  ...news,
});

/** A machine whose processes a test changes, and what was read of it. */
function machine(...first: readonly ProcStat[]) {
  const processes = new Map(first.map((each) => [each.pid, each]));
  const reads: string[] = [];
  const proc: ProcReader = {
    pids() {
      reads.push('pids');
      return [...processes.keys()];
    },
    stat(pid) {
      reads.push(`stat ${String(pid)}`);
      return processes.get(pid);
    },
    environ(pid) {
      reads.push(`environ ${String(pid)}`);
      return undefined;
    },
    bootId: () => 'boot',
  };
  return { processes, proc, readSince: () => reads.splice(0) };
}

const target: StopTarget = { pid: 10, startTicks: 1010, scope: 'cgroup', run: 'run of 10' };
const inGroup = { pgrp: 10, session: 10 };

test('in one turn everything is read once; a new turn lists anew, and reads what is new', async () => {
  const clock = fakeClock();
  const { processes, proc, readSince } = machine(statOf(10), statOf(11, inGroup), statOf(12));
  const search = sharedScan(proc, clock, () => false);
  expect(findMembers(target, proc, search).map(({ pid }) => pid)).toEqual([10, 11]);
  readSince();
  findMembers(target, proc, search);
  // Whether its members live is asked again; of the stranger nothing is.
  expect(readSince()).toEqual(['stat 10', 'stat 11']);
  processes.set(13, statOf(13, inGroup));
  await clock.advance(1);
  expect(findMembers(target, proc, search).map(({ pid }) => pid)).toEqual([10, 11, 13]);
  expect(readSince()).not.toContain('stat 12');
});

test('after 100 ms a number may be another process: it is read again', async () => {
  const clock = fakeClock();
  const { processes, proc } = machine(statOf(10), statOf(12));
  const search = sharedScan(proc, clock, () => false);
  expect(findMembers(target, proc, search).map(({ pid }) => pid)).toEqual([10]);
  processes.set(12, statOf(12, { ...inGroup, startTicks: 5000 }));
  await clock.advance(101);
  expect(findMembers(target, proc, search).map(({ pid }) => pid)).toEqual([10, 12]);
});

test.each<readonly [string, ProcStat | undefined]>([
  ['has ended', undefined],
  ['is a zombie', statOf(11, { ...inGroup, state: 'Z' })],
  ['is another process', statOf(11, { startTicks: 7777 })],
])('a member that was known and %s is none any more', async (_what, now) => {
  const clock = fakeClock();
  const { processes, proc } = machine(statOf(10), statOf(11, inGroup));
  const search = sharedScan(proc, clock, () => false);
  expect(findMembers(target, proc, search)).toHaveLength(2);
  if (now === undefined) processes.delete(11);
  else processes.set(11, now);
  await clock.advance(1);
  expect(findMembers(target, proc, search).map(({ pid }) => pid)).toEqual([10]);
});

test('what is known by itself is neither listed nor read, but for the main process', () => {
  const { proc, readSince } = machine(statOf(10), statOf(20), statOf(21));
  const search = sharedScan(proc, fakeClock(), (pid) => [10, 20, 21].includes(pid));
  expect(findMembers(target, proc, search).map(({ pid }) => pid)).toEqual([10]);
  expect(readSince()).toEqual(['stat 10', 'pids']);
});
