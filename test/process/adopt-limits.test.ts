/** Limits and figures of a run that an earlier k3s-lite started; skipped where no controller is writable. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/kernel/clock.ts';
import { ownCgroup } from '../../src/process/cgroup.ts';
import { endLeftovers } from '../../src/process/leftover.ts';
import { orphan } from './orphan.ts';
import { scratch, unitOf } from './scratch.ts';

/** Takes memory as soon as there is a file `go`. */
const eater = `
const timer = setInterval(() => {
  if (!require('node:fs').existsSync('go')) return;
  clearInterval(timer);
  const all = [];
  for (;;) all.push(Buffer.alloc(1 << 20, 1));
}, 5);
`;
const limitBytes = 96 * 2 ** 20;
const isLimitable =
  process.getuid?.() === 0 && [ownCgroup('/proc/self', 'memory'), ownCgroup('/proc/self', 'cpu')].every(Boolean);
const pidsIn = (folder: string) => readFileSync(path.join(folder, 'cgroup.procs'), 'utf8').split('\n').map(Number);

describe.skipIf(!isLimitable)('[S8] an adopted unit with limits', () => {
  test('has its figures told as before; an end by the kernel for its memory is told', async () => {
    await using place = scratch({ withCgroup: true });
    const run = [process.execPath, '-e', eater];
    const unit = unitOf('eater', { run, cwd: place.folder, limits: { memory: '96MiB', cpu: 2 } });
    const record = await orphan(place, unit, place.marker);
    const folders = (record.limitFolders ?? []).map(({ directory }) => directory);
    expect(folders).toHaveLength(2);
    const adopted = place.layer.adopt({ unit, record });
    const usage = () => place.layer.usage().get('eater');
    // It may not have been in them yet when its k3s-lite was killed.
    await expect.poll(() => usage()?.memoryPeakBytes ?? 0, { timeout: 5000 }).toBeGreaterThan(0);
    await expect.poll(usage, { timeout: 5000 }).toMatchObject({ processes: 1, source: 'cgroup' });
    await expect.poll(() => usage()?.cpuSeconds ?? 0, { timeout: 5000 }).toBeGreaterThan(0);

    writeFileSync(path.join(place.folder, 'go'), '');
    expect(await adopted.exited).toEqual({ kind: 'unknown', outOfMemory: { limitBytes } });
    expect(await adopted.stop({})).toEqual([]);
    expect(usage()).toBeUndefined();
    await place.layer[Symbol.asyncDispose]();
    expect(folders.map((folder) => existsSync(path.dirname(folder)))).toEqual([false, false]);
    expect(place.notices).toEqual([]);
  });

  test('that we stop has not run out of memory', async () => {
    await using place = scratch();
    const unit = unitOf('calm', { run: ['sleep', '300'], limits: { memory: '96MiB' } });
    const adopted = place.layer.adopt({ unit, record: await orphan(place, unit) });
    expect(await adopted.stop({ hurry: AbortSignal.abort(new Error('test')) })).toEqual([]);
    expect(await adopted.exited).toEqual({ kind: 'unknown' });
  });

  test('whose k3s-lite was killed before it was limited is limited now', async () => {
    await using place = scratch();
    const unit = unitOf('late', { run: ['sleep', '300'], limits: { memory: '96MiB' } });
    const record = await orphan(place, unit);
    const [{ directory } = { directory: '' }] = record.limitFolders ?? [];
    mkdirSync(directory, { recursive: true });
    const limitFile = path.join(directory, 'memory.limit_in_bytes');
    writeFileSync(path.join(ownCgroup('/proc/self', 'memory') ?? '', 'cgroup.procs'), String(record.pid));
    writeFileSync(limitFile, '-1');
    const adopted = place.layer.adopt({ unit, record });
    await expect.poll(() => pidsIn(directory)).toContain(record.pid);
    expect(readFileSync(limitFile, 'utf8').trim()).toBe(String(limitBytes));
    expect(await adopted.stop({})).toEqual([]);
  });

  test('that is ended instead of adopted leaves no cgroup', async () => {
    await using place = scratch();
    const unit = unitOf('gone', { run: ['sleep', '300'], limits: { memory: '96MiB' } });
    const record = await orphan(place, unit);
    const [{ directory } = { directory: '' }] = record.limitFolders ?? [];
    mkdirSync(directory, { recursive: true });
    writeFileSync(path.join(directory, 'cgroup.procs'), String(record.pid));
    const where = { recordDir: place.recordDir, marker: place.marker };
    expect((await endLeftovers({ ...where, clock: systemClock })).size).toBe(0);
    expect(existsSync(path.dirname(directory))).toBe(false);
  });
});
