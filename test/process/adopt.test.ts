/** A run of a killed k3s-lite as the process layer of the next one has it. */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/kernel/clock.ts';
import { createExitWatch } from '../../src/process/exit-watch.ts';
import { endLeftovers, findLeftovers } from '../../src/process/leftover.ts';
import { systemProc } from '../../src/process/proc-reader.ts';
import { openRunRecords } from '../../src/process/run-record.ts';
import { fakeClock } from '../kit/fake-clock.ts';
import { orphan, recordOf } from './orphan.ts';
import { isRunning, kill, scratch, unitOf } from './scratch.ts';

const isRoot = process.getuid?.() === 0;
const sh = (script: string) => ['sh', '-c', script];

test.each(isRoot ? [false, true] : [false])(
  'an adopted process goes on: its log, its record, its stop, which leaves nothing (cgroup: %s)',
  async (withCgroup) => {
    await using place = scratch({ withCgroup });
    const unit = unitOf('db', {
      run: sh(
        'trap "echo bye; exit 0" USR1; echo first; while :; do sleep 0.02; test -f go && echo second && rm go; done',
      ),
      cwd: place.folder,
      stop: { signal: 'SIGUSR1', within: '5s' },
    });
    const record = await orphan(place, unit, withCgroup ? place.marker : undefined);
    await expect.poll(() => place.logText('db')).toBe('first\n');
    // The unit file may say something else by now: what counts is how it was started.
    const adopted = place.layer.adopt({ unit: { ...unit, stop: { ...unit.stop, signal: 'SIGKILL' } }, record });
    expect(adopted.pid).toBe(record.pid);
    const log = place.layer.log('db');
    expect(log.last(10), 'lines of before are of this generation').toEqual(['first']);
    const lines: string[] = [];
    using _following = log.follow((line) => lines.push(line));
    writeFileSync(path.join(place.folder, 'go'), '');
    await expect.poll(() => lines, { timeout: 5000 }).toEqual(['second']);

    adopted.becameReady({ mainPid: 4242 });
    expect(recordOf(place, 'db')).toEqual({ ...record, ready: true, mainPid: 4242 });
    expect(statSync(path.join(place.recordDir, 'db.json')).mode & 0o777).toBe(0o600);

    const steps: string[] = [];
    expect(await adopted.stop({ onStep: (signal) => steps.push(signal) })).toEqual([]);
    expect(steps).toEqual(['SIGUSR1']);
    expect(await adopted.exited).toEqual({ kind: 'unknown' });
    expect(place.logText('db')).toMatch(/^first\nsecond\n.*bye\n$/s);
    expect(isRunning(record.pid)).toBe(false);
    expect(openRunRecords(place.recordDir, () => undefined).readAll()).toEqual([]);
    if (record.cgroup !== undefined)
      expect(() => readFileSync(path.join(record.cgroup ?? '', 'cgroup.procs'))).toThrow();
  },
);

test('the end of an adopted process is noticed within a second and a half, with its last line', async () => {
  await using place = scratch();
  const unit = unitOf('db', { run: sh('printf last; exec sleep 300') });
  const record = await orphan(place, unit);
  const adopted = place.layer.adopt({ unit, record });
  const atMs = performance.now();
  kill(record.pid);
  expect(await adopted.exited).toEqual({ kind: 'unknown' });
  expect(performance.now() - atMs).toBeLessThan(1500);
  expect(place.layer.log('db').last(1)).toEqual(['last']);
  expect(await adopted.stop({})).toEqual([]);
});

test('a process that ended before it was adopted is said to have ended', async () => {
  await using place = scratch();
  const unit = unitOf('db', { run: ['sleep', '300'] });
  const record = await orphan(place, unit);
  kill(record.pid);
  await expect.poll(() => isRunning(record.pid)).toBe(false);
  expect(await place.layer.adopt({ unit, record }).exited).toEqual({ kind: 'unknown' });
});

test.runIf(isRoot)(
  'killed before the move into its cgroup: it is made up for when the process is adopted',
  async () => {
    await using place = scratch({ withCgroup: true });
    const unit = unitOf('db', { run: ['sleep', '300'] });
    const cgroup = path.join(place.cgroup?.path ?? '', 'db.1-7-7');
    const record = { ...(await orphan(place, unit)), cgroup };
    const adopted = place.layer.adopt({ unit, record });
    await expect.poll(() => place.cgroup?.create('db.1-7-7').pids()).toEqual([record.pid]);
    expect(await adopted.stop({})).toEqual([]);
  },
);

test('looks at processes that are not our children grow rare while nothing happens, and frequent when a check fails', async () => {
  const clock = fakeClock();
  let looks = 0;
  let isAlive = true;
  const stat = { pid: 7, state: 'S', ppid: 1, pgrp: 7, session: 7, startTicks: 1 };
  const proc = { ...systemProc, stat: () => ((looks += 1), isAlive ? stat : undefined) };
  using watch = createExitWatch(clock, proc);
  const process = watch.add({ pid: 7, startTicks: 1 }, undefined);
  await clock.advance(60_000);
  expect(looks).toBeLessThan(70);
  looks = 0;
  process.look();
  await clock.advance(400);
  expect(looks).toBe(4); // at once, after 50, 150 and 350 ms
  isAlive = false;
  await clock.advance(1000);
  expect(await process.exited).toEqual({ kind: 'unknown' });
  expect(clock.pendingTimers).toBe(0);
});

test('a finished task is recorded until its unit is stopped, a failed one is not', async () => {
  await using place = scratch();
  const where = { recordDir: place.recordDir, marker: place.marker };
  const good = place.launch(unitOf('good', { kind: 'task', run: ['true'] }));
  const bad = place.launch(unitOf('bad', { kind: 'task', run: ['false'] }));
  await Promise.all([good.exited, bad.exited]);
  expect(findLeftovers(where).map(({ unit, pids, record }) => [unit, pids, record?.finished])).toEqual([
    ['good', [], true],
  ]);
  await good.stop({});
  expect(findLeftovers(where)).toEqual([]);
});

test('a record of a newer k3s-lite is refused, and its processes are ended; of scope `process` the main one', async () => {
  await using place = scratch();
  const unit = unitOf('runtime', {
    run: sh('setsid sleep 300 & echo shim $!; exec -a runtime-main sleep 301'),
    stop: { scope: 'process' },
  });
  const record = await orphan(place, { ...unit, run: ['bash', ...unit.run.slice(1)] });
  await expect.poll(() => place.logText('runtime')).toMatch(/shim \d+/);
  const shim = Number(/shim (\d+)/.exec(place.logText('runtime'))?.[1]);
  writeFileSync(path.join(place.recordDir, 'runtime.json'), JSON.stringify({ ...record, version: 2 }));
  writeFileSync(path.join(place.recordDir, 'half.json.new'), '{"version":');
  const notices: string[] = [];
  const options = {
    recordDir: place.recordDir,
    marker: place.marker,
    programOf: () => '/usr/bin/runtime-main',
    notice: (text: string) => void notices.push(text),
  };
  const found = findLeftovers(options);
  expect(notices).toEqual([expect.stringMatching(/is of version 2, but this k3s-lite knows 1: it is not adopted/)]);
  expect(found.map(({ pids, record: known }) => [pids, known])).toEqual([[[record.pid], undefined]]);
  expect((await endLeftovers({ ...options, leftovers: found, clock: systemClock })).size).toBe(0);
  expect([isRunning(record.pid), isRunning(shim)]).toEqual([false, true]);
  expect(findLeftovers({ ...options, notice: () => undefined })).toEqual([]);
});
