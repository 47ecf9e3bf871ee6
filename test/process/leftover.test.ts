import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/kernel/clock.ts';
import { endLeftovers, findLeftovers } from '../../src/process/leftover.ts';
import { type ProcReader, systemProc } from '../../src/process/proc-reader.ts';
import { type RunRecord, openRunRecords } from '../../src/process/run-record.ts';
import type { Unit } from '../../src/unit/schema.ts';
import { bundle, fixture } from './bundle.ts';
import { isRunning, markedPids, scratch, type Scratch, unitOf } from './scratch.ts';

/** Starts units by a k3s-lite of its own and kills that with SIGKILL. */
async function orphan(place: Scratch, units: readonly Unit[], cgroupInstance?: string): Promise<readonly number[]> {
  const program = await bundle('supervisor.ts', place.folder);
  const { logDir, recordDir, marker } = place;
  const order = JSON.stringify({ units, logDir, recordDir, marker, ...(cgroupInstance ? { cgroupInstance } : {}) });
  const child: ChildProcess = spawn(process.execPath, [program, order], { stdio: ['ignore', 'pipe', 'inherit'] });
  if (child.stdout === null) throw new Error('no output');
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  child.kill('SIGKILL');
  await once(child, 'exit');
  return JSON.parse(line) as number[];
}

test('units outlive a killed k3s-lite and go on writing to their files', async () => {
  await using place = scratch();
  const script = 'while :; do echo tick; sleep 0.02; done';
  const [pid = 0] = await orphan(place, [unitOf('ticker', { run: ['sh', '-c', script] })]);
  expect(isRunning(pid)).toBe(true);
  const before = place.logText('ticker').length;
  await expect.poll(() => place.logText('ticker').length).toBeGreaterThan(before);
});

test('a look for leftovers reads each process once, however many units there were', async () => {
  await using place = scratch();
  const units = Array.from({ length: 12 }, (_, number) => unitOf(`u${String(number)}`, { run: ['sleep', '300'] }));
  const pids = await orphan(place, units);
  const reads = new Map<number, number>();
  const proc: ProcReader = {
    ...systemProc,
    stat(pid) {
      reads.set(pid, (reads.get(pid) ?? 0) + 1);
      return systemProc.stat(pid);
    },
  };
  const found = findLeftovers({ recordDir: place.recordDir, marker: place.marker, proc });
  expect(found.flatMap((leftover) => leftover.pids).sort()).toEqual([...pids].sort());
  expect(Math.max(...reads.values())).toBe(1);
});

test.each(process.getuid?.() === 0 ? [false, true] : [false])(
  'leftovers of a killed k3s-lite are named and ended, escaped children too (cgroup: %s)',
  async (withCgroup) => {
    await using place = scratch({ withCgroup });
    const units = [
      unitOf('plain', { run: ['sleep', '300'] }),
      unitOf('escaper', { run: [fixture('daemonize.sh')], stop: { within: '5s' } }),
    ];
    const [plain, escaper] = await orphan(place, units, withCgroup ? place.marker : undefined);
    await expect.poll(() => place.logText('escaper')).toMatch(/daemon \d+/);
    const daemon = Number(/daemon (\d+)/.exec(place.logText('escaper'))?.[1]);
    const options = { recordDir: place.recordDir, marker: place.marker };
    const found = findLeftovers(options);
    expect(found.map(({ unit }) => unit).sort()).toEqual(['escaper', 'plain']);
    expect(found.find(({ unit }) => unit === 'plain')?.pids).toEqual([plain]);
    expect(found.find(({ unit }) => unit === 'escaper')?.pids).toEqual(expect.arrayContaining([escaper, daemon]));

    const told: string[] = [];
    const survivors = await endLeftovers({
      ...options,
      clock: systemClock,
      order: [['plain'], ['escaper']],
      onFound: ({ unit }) => void told.push(`found ${unit}`),
      onStep: (unit, signal) => void told.push(`${signal} ${unit}`),
    });
    expect(survivors.size).toBe(0);
    expect(told.slice(2)).toEqual(['SIGTERM plain', 'SIGTERM escaper']);
    expect(markedPids(place.marker)).toEqual([]);
    expect(readdirSync(place.recordDir)).toEqual([]);
    expect(findLeftovers(options)).toEqual([]);
    const tree = place.cgroup?.path;
    const left = tree !== undefined && existsSync(tree) ? readdirSync(tree, { withFileTypes: true }) : [];
    expect(left.filter((entry) => entry.isDirectory())).toEqual([]);
  },
);

test.runIf(process.getuid?.() === 0)(
  'a leftover that left its group and emptied its environment is known by its cgroup',
  async () => {
    await using place = scratch({ withCgroup: true });
    const script = 'sleep 0.3; env -i setsid sleep 300 & wait';
    place.launch(unitOf('hidden', { run: ['sh', '-c', script] }));
    const [record] = openRunRecords(place.recordDir, () => undefined).readAll();
    if (record?.cgroup === undefined || place.cgroup === undefined) throw new Error('no cgroup');
    const inCgroup = () =>
      readFileSync(path.join(record.cgroup ?? '', 'cgroup.procs'), 'utf8')
        .trim()
        .split('\n');
    // The shell and what it waits for: the child has become another program in a session of its own.
    await expect
      .poll(() =>
        inCgroup()
          .map(Number)
          .filter((pid) => systemProc.stat(pid)?.session === pid),
      )
      .toHaveLength(2);
    const hidden = Math.max(...inCgroup().map(Number));
    const survivors = await endLeftovers({ recordDir: place.recordDir, marker: place.marker, clock: systemClock });
    expect(survivors.size).toBe(0);
    expect(isRunning(hidden)).toBe(false);
    expect(existsSync(record.cgroup)).toBe(false);
  },
);

test('a leftover whose record is lost or damaged is found by its marker', async () => {
  await using place = scratch();
  const units = [unitOf('lost', { run: ['sleep', '300'] }), unitOf('damaged', { run: ['sleep', '300'] })];
  const pids = await orphan(place, units);
  rmSync(path.join(place.recordDir, 'lost.json'));
  writeFileSync(path.join(place.recordDir, 'damaged.json'), '{"version":1,');
  const notices: string[] = [];
  const options = {
    recordDir: place.recordDir,
    marker: place.marker,
    notice: (text: string) => void notices.push(text),
  };
  const found = findLeftovers(options);
  expect(found.flatMap((leftover) => leftover.pids).sort()).toEqual([...pids].sort());
  expect(notices).toEqual([expect.stringContaining('damaged.json is damaged')]);
  expect((await endLeftovers({ ...options, clock: systemClock })).size).toBe(0);
  expect(markedPids(place.marker)).toEqual([]);
});

test('of a unit with scope process only the main process is ended', async () => {
  await using place = scratch();
  const unit = unitOf('runtime', {
    run: ['sh', '-c', 'setsid sleep 300 & echo shim $!; exec sleep 300'],
    stop: { scope: 'process' },
  });
  const [main = 0] = await orphan(place, [unit]);
  await expect.poll(() => place.logText('runtime')).toMatch(/shim \d+/);
  const shim = Number(/shim (\d+)/.exec(place.logText('runtime'))?.[1]);
  const notices: string[] = [];
  const options = {
    recordDir: place.recordDir,
    marker: place.marker,
    notice: (text: string) => void notices.push(text),
  };
  expect(findLeftovers(options).map(({ pids }) => pids)).toEqual([[main]]);
  expect((await endLeftovers({ ...options, clock: systemClock })).size).toBe(0);
  expect(isRunning(main)).toBe(false);
  expect(isRunning(shim)).toBe(true);
  expect(findLeftovers(options)).toEqual([]);
  expect(notices).toEqual([expect.stringContaining(String(shim))]);
});

test('a record whose pid belongs to a stranger by now, or of before a reboot, is removed and nobody is touched', async () => {
  await using place = scratch();
  const stranger = spawn('sleep', ['300']);
  try {
    const pid = stranger.pid ?? 0;
    const record: RunRecord = {
      version: 1,
      unit: 'old',
      generation: 1,
      hash: 'h',
      pid,
      startTicks: (systemProc.stat(pid)?.startTicks ?? 0) + 1,
      bootId: systemProc.bootId(),
      run: `${place.marker}/old/1/1-1/cgroup`,
      program: '/bin/sleep',
      scope: 'cgroup',
      stopSignal: 'SIGTERM',
      stopWithinMs: 100,
      startedWallMs: 0,
    };
    const records = openRunRecords(place.recordDir, () => undefined);
    records.write(record);
    records.write({ ...record, unit: 'rebooted', startTicks: record.startTicks - 1, bootId: 'earlier' });
    const options = { recordDir: place.recordDir, marker: place.marker };
    expect((await endLeftovers({ ...options, clock: systemClock })).size).toBe(0);
    expect(isRunning(pid)).toBe(true);
    expect(existsSync(path.join(place.recordDir, 'old.json'))).toBe(false);
    expect(existsSync(path.join(place.recordDir, 'rebooted.json'))).toBe(false);
  } finally {
    stranger.kill('SIGKILL');
  }
});

test('processes of another data directory are none of ours', async () => {
  await using place = scratch();
  await using other = scratch();
  other.launch(unitOf('theirs', { run: ['sleep', '300'] }));
  expect(findLeftovers({ recordDir: place.recordDir, marker: place.marker })).toEqual([]);
});
