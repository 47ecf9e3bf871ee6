import { expect, test } from 'vitest';
import type { ProcReader, ProcStat } from '../../src/process/proc-reader.ts';
import { findMembers, type StopTarget } from '../../src/process/scope-members.ts';
import { sharedScan, type SharedScanOptions } from '../../src/process/shared-scan.ts';
import { stopProcesses } from '../../src/process/stop.ts';
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
  const marks = new Map<number, string>();
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
      return marks.get(pid);
    },
    bootId: () => 'boot',
  };
  return { processes, marks, proc, readSince: () => reads.splice(0) };
}

const searchOf = (options: Pick<SharedScanOptions, 'proc' | 'clock'> & Partial<SharedScanOptions>) =>
  sharedScan({ isKnown: () => false, pidMax: () => 4_194_304, ...options });

const target: StopTarget = { pid: 10, startTicks: 1010, scope: 'cgroup', run: 'run of 10' };
const inGroup = { pgrp: 10, session: 10 };

test('in one turn everything is read once; a new turn lists anew, and reads what is new', async () => {
  const clock = fakeClock();
  const { processes, proc, readSince } = machine(statOf(10), statOf(11, inGroup), statOf(12));
  const search = searchOf({ proc, clock });
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
  const search = searchOf({ proc, clock });
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
  const search = searchOf({ proc, clock });
  expect(findMembers(target, proc, search)).toHaveLength(2);
  if (now === undefined) processes.delete(11);
  else processes.set(11, now);
  await clock.advance(1);
  expect(findMembers(target, proc, search).map(({ pid }) => pid)).toEqual([10]);
});

test('what is known by itself is neither listed nor read, but for the main process', () => {
  const { proc, readSince } = machine(statOf(10), statOf(20), statOf(21));
  const search = searchOf({ proc, clock: fakeClock(), isKnown: (pid) => [10, 20, 21].includes(pid) });
  expect(findMembers(target, proc, search).map(({ pid }) => pid)).toEqual([10]);
  expect(readSince()).toEqual(['stat 10', 'pids']);
});

test('in a small circle of numbers nothing is remembered beyond the turn', async () => {
  const clock = fakeClock();
  const { processes, proc } = machine(statOf(10), statOf(12));
  const search = searchOf({ proc, clock, pidMax: () => 400 });
  findMembers(target, proc, search);
  processes.set(12, statOf(12, { ...inGroup, startTicks: 5000 }));
  await clock.advance(1);
  expect(findMembers(target, proc, search).map(({ pid }) => pid)).toEqual([10, 12]);
});

test('one that was seen while another program began in it is asked again', async () => {
  const clock = fakeClock();
  const { marks, proc } = machine(statOf(10), statOf(12));
  marks.set(12, '');
  const search = searchOf({ proc, clock });
  expect(findMembers(target, proc, search).map(({ pid }) => pid)).toEqual([10]);
  marks.set(12, target.run);
  await clock.advance(1);
  expect(findMembers(target, proc, search).map(({ pid }) => pid)).toEqual([10, 12]);
});

test('one that has left the group since is nobody that a stop of the group ends', async () => {
  const clock = fakeClock();
  const { processes, proc } = machine(statOf(10), statOf(11, inGroup));
  const search = searchOf({ proc, clock });
  findMembers(target, proc, search);
  processes.set(11, statOf(11));
  await clock.advance(1);
  expect(findMembers({ ...target, scope: 'group' }, proc, search).map(({ pid }) => pid)).toEqual([10]);
});

test('a member that was given the number of the ended main process is found', () => {
  const { proc, marks } = machine(statOf(10, { startTicks: 9000 }));
  marks.set(10, target.run);
  expect(findMembers(target, proc)).toEqual([{ pid: 10, startTicks: 9000 }]);
});

test('what the main process starts at its end, after others have looked in the same turn, is ended too', async () => {
  const clock = fakeClock();
  // Of no process of this machine: the signals go to nobody.
  const [main, heir] = [5_000_010, 5_000_013];
  const { processes, marks, proc } = machine(statOf(main));
  const search = searchOf({ proc, clock });
  const ofMain = { ...target, pid: main, startTicks: 1000 + main };
  expect(findMembers(ofMain, proc, search)).toHaveLength(1);
  processes.delete(main);
  processes.set(heir, statOf(heir));
  marks.set(heir, target.run);
  const signalled: number[] = [];
  const stopped = stopProcesses({
    target: ofMain,
    signal: 'SIGTERM',
    withinMs: 1000,
    clock,
    proc,
    search,
    onStep: (_signal, pids) => {
      signalled.push(...pids);
      processes.delete(heir);
    },
  });
  expect(await clock.run(stopped)).toEqual([]);
  expect(signalled).toEqual([heir]);
});
