import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/kernel/clock.ts';
import { type ProcReader, type ProcStat, systemProc } from '../../src/process/proc-reader.ts';
import { findMembers } from '../../src/process/scope-members.ts';
import { stopProcesses } from '../../src/process/stop.ts';
import { fixture } from './bundle.ts';
import { isRunning, markedPids, scratch, type Scratch, unitOf } from './scratch.ts';

/** Waits until the unit has written a line that matches, and returns its groups. */
async function line(place: Scratch, unit: string, pattern: RegExp): Promise<RegExpExecArray> {
  await expect.poll(() => pattern.exec(place.logText(unit)), { interval: 5 }).not.toBeNull();
  const match = pattern.exec(place.logText(unit));
  if (match === null) throw new Error('the line has vanished');
  return match;
}

const cgroupsWritable = (() => {
  try {
    return process.getuid?.() === 0 && / - cgroup2 /.test(readFileSync('/proc/self/mountinfo', 'utf8'));
  } catch {
    return false;
  }
})();

const ways = [
  { withCgroup: false, how: 'group and marker' },
  ...(cgroupsWritable ? [{ withCgroup: true, how: 'a cgroup' }] : []),
];

describe.each(ways)('with $how', ({ withCgroup }) => {
  test('a process that obeys is gone long before its deadline, with all its children', async () => {
    await using place = scratch({ withCgroup });
    const unit = unitOf('family', {
      run: ['sh', '-c', 'sleep 300 & sleep 300 & echo up; wait'],
      stop: { within: '60s' },
    });
    const running = place.launch(unit);
    await line(place, 'family', /up/);
    const steps: string[] = [];
    const startMs = performance.now();
    expect(await running.stop({ onStep: (signal, pids) => steps.push(`${signal} ${String(pids.length)}`) })).toEqual(
      [],
    );
    expect(performance.now() - startMs).toBeLessThan(1000);
    expect(steps).toEqual(['SIGTERM 3']);
    expect(markedPids(place.marker)).toEqual([]);
    expect(await running.exited).toEqual({ kind: 'signal', signal: 'SIGTERM' });
  });

  test('one that ignores SIGTERM gets SIGKILL at its deadline', async () => {
    await using place = scratch({ withCgroup });
    const running = place.launch(unitOf('stubborn', { run: [fixture('ignore-term.sh')], stop: { within: '300ms' } }));
    await line(place, 'stubborn', /armed/);
    const steps: string[] = [];
    const startMs = performance.now();
    expect(await running.stop({ onStep: (signal) => steps.push(signal) })).toEqual([]);
    const tookMs = performance.now() - startMs;
    expect(tookMs).toBeGreaterThanOrEqual(299);
    expect(tookMs).toBeLessThan(2000);
    expect(steps).toEqual(['SIGTERM', 'SIGKILL']);
    expect(await running.exited).toEqual({ kind: 'signal', signal: 'SIGKILL' });
  });

  test('hurry goes to SIGKILL at once', async () => {
    await using place = scratch({ withCgroup });
    const running = place.launch(unitOf('stubborn', { run: [fixture('ignore-term.sh')], stop: { within: '60s' } }));
    await line(place, 'stubborn', /armed/);
    const controller = new AbortController();
    const steps: string[] = [];
    const startMs = performance.now();
    const stopped = running.stop({
      onStep(signal) {
        steps.push(signal);
        controller.abort(new Error('second signal'));
      },
      hurry: controller.signal,
    });
    expect(await stopped).toEqual([]);
    expect(performance.now() - startMs).toBeLessThan(2000);
    expect(steps).toEqual(['SIGTERM', 'SIGKILL']);
  });

  test('a daemon in a session of its own, whose parent has ended, is found and ended', async () => {
    await using place = scratch({ withCgroup });
    const running = place.launch(unitOf('escaper', { run: [fixture('daemonize.sh')] }));
    const [, daemon] = await line(place, 'escaper', /daemon (\d+)/);
    expect(systemProc.stat(Number(daemon))?.session).not.toBe(running.pid);
    let signalled: readonly number[] = [];
    expect(await running.stop({ onStep: (_signal, pids) => (signalled = pids) })).toEqual([]);
    expect(signalled).toContain(Number(daemon));
    expect(isRunning(Number(daemon))).toBe(false);
    expect(markedPids(place.marker)).toEqual([]);
  });

  test('after the main process has ended by itself, stop clears what it left behind', async () => {
    await using place = scratch({ withCgroup });
    const running = place.launch(unitOf('leaver', { run: ['sh', '-c', 'sleep 300 & setsid sleep 300 & exit 5'] }));
    expect(await running.exited).toEqual({ kind: 'code', code: 5 });
    expect(await running.stop({})).toEqual([]);
    expect(markedPids(place.marker)).toEqual([]);
    expect(readdirSync(place.recordDir)).toEqual([]);
  });

  test('a storm of forks that escape and ignore SIGTERM is ended', async () => {
    await using place = scratch({ withCgroup });
    const running = place.launch(unitOf('storm', { run: [fixture('fork-storm.sh')], stop: { within: '100ms' } }));
    await expect.poll(() => markedPids(place.marker).length, { interval: 20 }).toBeGreaterThan(20);
    expect(await running.stop({})).toEqual([]);
    expect(markedPids(place.marker)).toEqual([]);
  });

  test('a stopped (SIGSTOP) process is ended by the first signal', async () => {
    await using place = scratch({ withCgroup });
    const running = place.launch(unitOf('frozen', { run: ['sleep', '300'], stop: { within: '60s' } }));
    process.kill(running.pid, 'SIGSTOP');
    expect(await running.stop({})).toEqual([]);
    expect(await running.exited).toEqual({ kind: 'signal', signal: 'SIGTERM' });
  });

  test('scope group leaves alone what has left the group', async () => {
    await using place = scratch({ withCgroup });
    const stop = { scope: 'group' } as const;
    const running = place.launch(
      unitOf('group', { run: ['sh', '-c', 'setsid sh -c "echo away $$; sleep 300" & sleep 300'], stop }),
    );
    await line(place, 'group', /away/);
    expect(await running.stop({})).toEqual([]);
    expect(markedPids(place.marker).length).toBeGreaterThan(0);
  });

  test('scope process ends the main process alone', async () => {
    await using place = scratch({ withCgroup });
    const stop = { scope: 'process' } as const;
    const running = place.launch(unitOf('main', { run: ['sh', '-c', 'sleep 300 & echo child $!; wait'], stop }));
    const [, child] = await line(place, 'main', /child (\d+)/);
    expect(await running.stop({})).toEqual([]);
    expect(isRunning(running.pid)).toBe(false);
    expect(isRunning(Number(child))).toBe(true);
  });
});

test('two stops at once are one; both are told its steps', async () => {
  await using place = scratch();
  const running = place.launch(unitOf('twice', { run: ['sleep', '300'] }));
  const steps: string[] = [];
  const both = [1, 2].map((who) => running.stop({ onStep: (signal) => steps.push(`${String(who)} ${signal}`) }));
  expect(await Promise.all(both)).toEqual([[], []]);
  // The first step is taken before the second caller arrives.
  expect(steps).toEqual(['1 SIGTERM']);
  expect(await running.stop({})).toEqual([]);
});

test.runIf(cgroupsWritable)(
  'the cgroup holds the process while it runs, and nothing of ours is left after the end',
  async () => {
    let tree = '';
    {
      await using place = scratch({ withCgroup: true });
      tree = place.cgroup?.path ?? '';
      const running = place.launch(unitOf('held', { run: ['sleep', '300'] }));
      const procs = () =>
        readdirSync(tree, { withFileTypes: true })
          .filter((entry) => entry.isDirectory())
          .map(({ name }) => readFileSync(path.join(tree, name, 'cgroup.procs'), 'utf8').trim());
      await expect.poll(procs).toEqual([String(running.pid)]);
      await running.stop({});
    }
    expect(tree).not.toBe('');
    expect(existsSync(tree)).toBe(false);
  },
);

test('a signal never goes to a process that was given the pid of an ended one', async () => {
  await using place = scratch();
  const stranger = place.launch(unitOf('stranger', { run: ['sleep', '300'] }));
  const target = { pid: stranger.pid, startTicks: 1, scope: 'cgroup', run: 'other/unit/1/x/cgroup' } as const;
  expect(findMembers(target, systemProc)).toEqual([]);
  const steps: string[] = [];
  const request = { target, signal: 'SIGTERM', withinMs: 100, clock: systemClock, proc: systemProc } as const;
  expect(await stopProcesses({ ...request, onStep: (signal) => steps.push(signal) })).toEqual([]);
  expect(steps).toEqual([]);
  expect(isRunning(stranger.pid)).toBe(true);
});

test('a pid that changes hands between the search and the signal is left alone', async () => {
  await using place = scratch();
  const victim = place.launch(unitOf('victim', { run: ['sleep', '300'] }));
  const real = systemProc.stat(victim.pid);
  if (real === undefined) throw new Error('it has ended');
  let looks = 0;
  // The first look finds our old process, each later one the stranger that has its pid now.
  const proc: ProcReader = {
    ...systemProc,
    pids: () => [victim.pid],
    environ: () => undefined,
    stat: (pid): ProcStat | undefined => (pid === victim.pid && ++looks === 1 ? { ...real, startTicks: 1 } : real),
  };
  const target = { pid: victim.pid, startTicks: 1, scope: 'process', run: 'x' } as const;
  expect(await stopProcesses({ target, signal: 'SIGTERM', withinMs: 50, clock: systemClock, proc })).toEqual([]);
  expect(looks).toBeGreaterThan(1);
  expect(isRunning(victim.pid)).toBe(true);
});

test('zombies do not count, processes in uninterruptible sleep are given back', async () => {
  const stat = (state: string): ProcStat => ({
    pid: 4_000_000,
    state,
    ppid: 1,
    pgrp: 4_000_000,
    session: 4_000_000,
    startTicks: 9,
  });
  const target = { pid: 4_000_000, startTicks: 9, scope: 'group', run: 'x' } as const;
  const proc = (state: string): ProcReader => ({ ...systemProc, pids: () => [4_000_000], stat: () => stat(state) });
  expect(findMembers(target, proc('Z'))).toEqual([]);
  let nowMs = 0;
  const clock = {
    ...systemClock,
    monotonicMs: () => nowMs,
    timer: (delayMs: number, fire: () => void) => {
      nowMs += delayMs;
      return systemClock.timer(0, fire);
    },
  };
  const request = { target, signal: 'SIGTERM', withinMs: 1000, clock, proc: proc('D') } as const;
  expect(await stopProcesses(request)).toEqual([4_000_000]);
  expect(nowMs).toBeGreaterThanOrEqual(6000);
});
