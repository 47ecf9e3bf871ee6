/** Limits and figures of real processes, in the cgroups of this machine; skipped where none is writable. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createProcessLayer } from '../../src/process/create-process-layer.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { openCgroupTree, ownCgroup } from '../../src/process/cgroup.ts';
import { openLimitGroups } from '../../src/process/limit-groups.ts';
import { kill, markedPids, unitOf } from './scratch.ts';

let folder = '';
let count = 0;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-limits-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A layer with limits, and cgroups if wanted; all that it made is gone afterwards. */
function place({ withCgroup = false } = {}) {
  count += 1;
  const marker = `limits-${String(process.pid)}-${String(count)}`;
  const notices: string[] = [];
  const notice = (text: string) => void notices.push(text);
  const layer = createProcessLayer({
    clock: systemClock,
    logDir: path.join(folder, marker, 'logs'),
    recordDir: path.join(folder, marker, 'records'),
    marker,
    cgroup: withCgroup ? openCgroupTree({ instance: marker, notice }) : undefined,
    limitGroups: openLimitGroups({ instance: marker, notice }),
    baseEnv: process.env,
    defaultCwd: folder,
    notice,
  });
  return {
    layer,
    marker,
    notices,
    launch: (unit: ReturnType<typeof unitOf>) => layer.launch({ unit, generation: 1, extraEnv: {} }),
    async [Symbol.asyncDispose]() {
      for (const pid of markedPids(marker)) kill(pid);
      await layer[Symbol.asyncDispose]();
    },
  };
}

/** Waits until it is limited, then takes memory until it is killed. */
const eater = `
const fs = require('node:fs');
const timer = setInterval(() => {
  if (!/memory:.*k3s-lite|^0::.*k3s-lite/m.test(fs.readFileSync('/proc/self/cgroup', 'utf8'))) return;
  clearInterval(timer);
  const all = [];
  for (;;) all.push(Buffer.alloc(1 << 20, 1));
}, 5);
`;

const groupsIn = (folder_: string): string[] =>
  existsSync(folder_)
    ? readdirSync(folder_, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
    : [];

/** Our folder in the tree of version 1, or of version 2 with controllers. */
const v1 = (controller: 'memory' | 'cpu') => ownCgroup('/proc/self', controller);
const isLimitable = process.getuid?.() === 0 && v1('memory') !== undefined && v1('cpu') !== undefined;

describe.skipIf(!isLimitable)('[S8] a unit with limits', () => {
  test('is killed by the kernel beyond its memory, and its exit says why', async () => {
    await using here = place();
    const unit = unitOf('eater', { run: [process.execPath, '-e', eater], limits: { memory: '96MiB' } });
    const process_ = here.launch(unit);
    expect(await process_.exited).toEqual({
      kind: 'signal',
      signal: 'SIGKILL',
      outOfMemory: { limitBytes: 96 * 2 ** 20 },
    });
    expect(await process_.stop({})).toEqual([]);
    expect(here.notices).toEqual([]);
    await here.layer[Symbol.asyncDispose]();
    expect(existsSync(path.join(v1('memory') ?? '', 'k3s-lite', here.marker))).toBe(false);
  });

  test('that we kill ourselves has not run out of memory', async () => {
    await using here = place();
    const process_ = here.launch(unitOf('calm', { run: ['sleep', '300'], limits: { memory: '96MiB' } }));
    const hurry = new AbortController();
    hurry.abort(new Error('test'));
    expect(await process_.stop({ hurry: hurry.signal })).toEqual([]);
    expect(await process_.exited).toEqual({ kind: 'signal', signal: 'SIGKILL' });
  });

  test('has its memory told by the kernel, peak included', async () => {
    await using here = place();
    const hold = `const kept = Buffer.alloc(32 << 20, 1); setInterval(() => kept.length, 1000)`;
    const script = `setTimeout(() => { ${hold} }, 300)`;
    const process_ = here.launch(
      unitOf('holder', { run: [process.execPath, '-e', script], limits: { memory: '1GiB' } }),
    );
    const usage = () => here.layer.usage().get('holder');
    await expect.poll(() => usage()?.memoryPeakBytes ?? 0, { timeout: 10_000 }).toBeGreaterThan(32 * 2 ** 20);
    expect(usage()?.memoryBytes).toBeGreaterThan(32 * 2 ** 20);
    await process_.stop({});
    expect(usage()).toBeUndefined();
  });

  test('gets no more CPU time than it may', async () => {
    await using here = place({ withCgroup: true });
    const busy = here.launch(unitOf('busy', { run: ['sh', '-c', 'while :; do :; done'], limits: { cpu: 0.2 } }));
    const group = path.join(v1('cpu') ?? '', 'k3s-lite', here.marker);
    const quota = () => {
      const [name] = groupsIn(group);
      return name === undefined ? '' : readFileSync(path.join(group, name, 'cpu.cfs_quota_us'), 'utf8').trim();
    };
    await expect.poll(quota, { timeout: 10_000 }).toBe('20000');
    const throttled = () => {
      const [name = ''] = groupsIn(group);
      return Number(/^nr_throttled (\d+)$/m.exec(readFileSync(path.join(group, name, 'cpu.stat'), 'utf8'))?.[1]);
    };
    await expect.poll(throttled, { timeout: 10_000 }).toBeGreaterThan(1);
    const usage = here.layer.usage().get('busy');
    expect(usage).toMatchObject({ processes: 1, source: 'cgroup' });
    expect(usage?.cpuSeconds).toBeGreaterThan(0);
    await busy.stop({});
  });
});

test('without any cgroup the figures are sums over the processes of the unit', async () => {
  await using here = place();
  const script =
    'sleep 300 & while [ ! -e /proc/self/never ]; do i=$((i+1)); [ "$i" = 300000 ] && exec sleep 300; done';
  const process_ = here.launch(unitOf('plain', { run: ['sh', '-c', script] }));
  await expect.poll(() => here.layer.usage().get('plain')?.cpuSeconds ?? 0, { timeout: 10_000 }).toBeGreaterThan(0.02);
  const usage = here.layer.usage().get('plain');
  expect(usage).toMatchObject({ processes: 2, source: 'processes' });
  expect(usage?.memoryBytes).toBeGreaterThan(500_000);
  expect(usage?.memoryPeakBytes).toBeUndefined();
  await process_.stop({});
});

describe('which tree is used', () => {
  /** A /proc/self that tells of these mounts and this membership. */
  function procSelf(cgroup: string, mountinfo: string): string {
    const self = mkdtempSync(path.join(folder, 'self-'));
    writeFileSync(path.join(self, 'cgroup'), cgroup);
    writeFileSync(path.join(self, 'mountinfo'), mountinfo);
    return self;
  }

  test('version 2, where it has the controllers: they are passed on, and limits are written', async () => {
    const mount = mkdtempSync(path.join(folder, 'v2-'));
    const group = path.join(mount, 'own/k3s-lite/i/api.1');
    mkdirSync(group, { recursive: true });
    for (const [file, text] of [
      ['own/cgroup.controllers', 'cpuset cpu memory pids\n'],
      ['own/cgroup.subtree_control', ''],
      ['own/k3s-lite/cgroup.subtree_control', ''],
      ['own/k3s-lite/i/cgroup.subtree_control', ''],
      ['own/k3s-lite/i/api.1/memory.max', 'max'],
      ['own/k3s-lite/i/api.1/cpu.max', 'max 100000'],
      ['own/k3s-lite/i/api.1/memory.events', 'oom 1\noom_kill 2\n'],
      ['own/k3s-lite/i/api.1/memory.current', '4096\n'],
      ['own/k3s-lite/i/api.1/memory.peak', '8192\n'],
    ] as const) {
      writeFileSync(path.join(mount, file), text);
    }
    const notices: string[] = [];
    const groups = openLimitGroups({
      instance: 'i',
      notice: (text) => void notices.push(text),
      procSelf: procSelf('0::/own\n', `41 31 0:38 / ${mount} rw - cgroup2 cgroup2 rw\n`),
    });
    const limited = groups.create('api.1', 'api', { memory: 2 ** 26, cpu: 1.5 });
    await limited.enter(4711);
    expect(notices).toEqual([]);
    const read = (file: string) => readFileSync(path.join(mount, file), 'utf8');
    for (const place of ['own', 'own/k3s-lite', 'own/k3s-lite/i']) {
      // A plain file keeps what was written over it last: +memory, then +cpu.
      expect(read(`${place}/cgroup.subtree_control`)).toBe('+cpuory');
    }
    expect(read('own/k3s-lite/i/api.1/memory.max')).toBe('67108864');
    expect(read('own/k3s-lite/i/api.1/cpu.max')).toBe('150000 100000');
    expect(read('own/k3s-lite/i/api.1/cgroup.procs')).toBe('4711');
    expect(limited.memory()).toEqual({ bytes: 4096, peakBytes: 8192 });
    expect(limited.oomKills()).toBe(2);
  });

  test('none: it is told for each limit, and the unit runs', async () => {
    const notices: string[] = [];
    const groups = openLimitGroups({
      instance: 'i',
      notice: (text, unit) => void notices.push(`${unit ?? ''}: ${text}`),
      procSelf: procSelf('0::/own\n', ''),
    });
    const group = groups.create('api.1', 'api', { memory: 1, cpu: 1 });
    await group.enter(process.pid);
    expect(notices).toEqual([
      'api: limits.memory is not set: no cgroup of the memory controller is writable here',
      'api: limits.cpu is not set: no cgroup of the cpu controller is writable here',
    ]);
    expect(group.memory()).toBeUndefined();
    expect(group.oomKills()).toBe(0);
  });
});
