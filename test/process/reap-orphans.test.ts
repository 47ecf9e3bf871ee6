import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { actAsInit, initRole } from '../../src/process/init-role.ts';
import { isOwnChild, noteOwnChild } from '../../src/process/own-children.ts';
import { reapOrphans } from '../../src/process/reap-orphans.ts';
import { fakeClock } from '../kit/fake-clock.ts';

/** A kernel with ended children: it shows the first one until somebody takes it. */
function fakeKernel(...ended: number[]) {
  const reaped: number[] = [];
  return {
    ended,
    reaped,
    waits: {
      nextEnded: () => ended[0],
      reap: (pid: number) => void reaped.push(...ended.splice(ended.indexOf(pid), 1)),
      becomeSubreaper: () => true,
    },
    sigchld: () => process.emit('SIGCHLD', 'SIGCHLD'),
  };
}

test('orphans that ended before, and after each SIGCHLD, are reaped', () => {
  const { waits, ended, reaped, sigchld } = fakeKernel(11, 12);
  using _reaper = reapOrphans({ waits, isOwn: () => false, clock: fakeClock() });
  expect(reaped).toEqual([11, 12]);
  ended.push(13);
  sigchld();
  expect(reaped).toEqual([11, 12, 13]);
});

test('a child of our own is left to who waits for it, and those behind it are reaped when it is gone', async () => {
  const clock = fakeClock();
  const { waits, ended, reaped } = fakeKernel(11, 20, 12);
  using _reaper = reapOrphans({ waits, isOwn: (pid) => pid === 20, clock });
  expect(reaped).toEqual([11]);
  await clock.advance(100);
  expect(reaped).toEqual([11]);
  expect(ended).toEqual([20, 12]);
  ended.shift();
  await clock.advance(1);
  expect(reaped).toEqual([11, 12]);
  expect(clock.pendingTimers).toBe(0);
});

test('very many orphans are reaped in several turns of the event loop', async () => {
  const clock = fakeClock();
  const { waits, reaped } = fakeKernel(...Array.from({ length: 1200 }, (_, index) => 100 + index));
  using _reaper = reapOrphans({ waits, isOwn: () => false, clock });
  expect(reaped).toHaveLength(500);
  await clock.settle();
  expect(reaped).toHaveLength(1200);
});

test('nothing is left behind when it is disposed', () => {
  const clock = fakeClock();
  const listeners = process.listenerCount('SIGCHLD');
  const { waits, reaped, ended, sigchld } = fakeKernel(20);
  reapOrphans({ waits, isOwn: (pid) => pid === 20, clock })[Symbol.dispose]();
  expect(process.listenerCount('SIGCHLD')).toBe(listeners);
  expect(clock.pendingTimers).toBe(0);
  ended.push(11);
  sigchld();
  expect(reaped).toEqual([]);
});

test('a child is our own from the moment that it is noted until its exit is taken, however that goes', async () => {
  let end: (() => void) | undefined;
  const ended = new Promise<void>((_, reject) => {
    end = () => reject(new Error('gone'));
  });
  noteOwnChild(4_000_001, ended);
  expect(isOwnChild(4_000_001)).toBe(true);
  end?.();
  await expect.poll(() => isOwnChild(4_000_001)).toBe(false);
});

test.each([
  [{ pid: 1, ppid: 0 }, 'pid-1'],
  [{ pid: 1, ppid: 0, isWanted: true }, 'pid-1'],
  [{ isWanted: true }, 'subreaper'],
  [{}, 'none'],
  [{ env: { K3S_LITE_UNDER_INIT: '6' } }, 'below-init'],
  [{ env: { K3S_LITE_UNDER_INIT: '6' }, isWanted: true }, 'below-init'],
  // Of an init further up: it is not our parent, and would not start us again.
  [{ env: { K3S_LITE_UNDER_INIT: '1' } }, 'none'],
])('of %j it is said: %s', (question, role) => {
  expect(initRole({ pid: 7, ppid: 6, env: {}, isWanted: false, ...question })).toBe(role);
});

test('without FFI it is said what is lost and what helps, and nothing else happens', () => {
  const notices: string[] = [];
  const notice = (text: string) => void notices.push(text);
  for (const role of ['pid-1', 'subreaper', 'below-init', 'none'] as const) {
    using _init = actAsInit({ role, clock: fakeClock(), notice, waits: () => undefined });
  }
  expect(notices).toEqual([
    expect.stringMatching(/PID 1, and orphans that end stay zombies.*koffi is missing.*k3s-lite-init as PID 1/),
    expect.stringMatching(/--init has no effect.*koffi is missing/),
  ]);
});

test('a kernel that refuses a subreaper is told of, and nothing is reaped', () => {
  const notices: string[] = [];
  const { waits, reaped } = fakeKernel(11);
  const refusing = { ...waits, becomeSubreaper: () => false };
  const notice = (text: string) => void notices.push(text);
  using _init = actAsInit({ role: 'subreaper', clock: fakeClock(), notice, waits: () => refusing });
  expect(notices).toEqual([expect.stringContaining('orphans go to PID 1')]);
  expect(reaped).toEqual([]);
});

test('every file that starts processes in a long-lived k3s-lite notes them', () => {
  const folder = path.resolve(import.meta.dirname, '../../src/process');
  // The one runs in the place of our command, the other starts a k3s-lite and leaves: neither is beside a reaper.
  const others = ['foreground.ts', 'detach.ts'];
  // However they are loaded: some are only when they are needed.
  const spawner = /^(?!import type ).*(?:from |\()'(?:execa|node:child_process|\.\/posix-spawn\.ts)'/m;
  const spawning = readdirSync(folder).filter((file) => spawner.test(read(file)));
  function read(file: string): string {
    return readFileSync(path.join(folder, file), 'utf8');
  }
  expect(spawning).toEqual(expect.arrayContaining(['spawn.ts', 'run-program.ts', ...others]));
  for (const file of spawning.filter((each) => !others.includes(each))) {
    expect(read(file), file).toContain('noteOwnChild(');
  }
});
