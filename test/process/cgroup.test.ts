import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openCgroupTree } from '../../src/process/cgroup.ts';
import { scratch, unitOf } from './scratch.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-cgroup-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A /proc/self that tells of these mounts and this membership. */
function procSelf(cgroup: string, mountinfo: string): string {
  const self = mkdtempSync(path.join(folder, 'self-'));
  writeFileSync(path.join(self, 'cgroup'), cgroup);
  writeFileSync(path.join(self, 'mountinfo'), mountinfo);
  return self;
}

function open(cgroup: string, mountinfo: string) {
  const notices: string[] = [];
  const notice = (text: string) => void notices.push(text);
  const tree = openCgroupTree({ instance: 'i', notice, procSelf: procSelf(cgroup, mountinfo) });
  return { tree, notices };
}

test('without a unified tree there is none, and it is said once', () => {
  const v1 = '31 23 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n';
  const { tree, notices } = open('4:cpu:/a\n', v1);
  expect(tree).toBeUndefined();
  expect(notices).toEqual([expect.stringContaining('no unified cgroup tree is mounted')]);
});

test('a tree that cannot be written is not used, and the reason is said once', () => {
  const { tree, notices } = open('0::/a\n', '41 31 0:38 / /proc/nowhere rw - cgroup2 cgroup2 rw\n');
  expect(tree).toBeUndefined();
  expect(notices).toHaveLength(1);
  expect(notices[0]).toContain('is not writable');
});

test('everything lies under our own cgroup, seen through the root of the mount', () => {
  const mount = mkdtempSync(path.join(folder, 'mount-'));
  const root = path.join(mount, 'service', 'k3s-lite', 'i');
  mkdirSync(root, { recursive: true });
  writeFileSync(path.join(root, 'cgroup.procs'), '');
  const { tree, notices } = open('1:cpu:/x\n0::/pod/service\n', `41 31 0:38 /pod ${mount} rw - cgroup2 cgroup2 rw\n`);
  expect(notices).toEqual([]);
  expect(tree?.path).toBe(root);
  // A mount of somebody else's part of the tree is none of ours.
  expect(open('0::/pod/service\n', `41 31 0:38 /other ${mount} rw - cgroup2 cgroup2 rw\n`).tree).toBeUndefined();
});

test('a plain folder that refuses processes is told once, and units run without', async () => {
  const mount = mkdtempSync(path.join(folder, 'mount-'));
  const root = path.join(mount, 'k3s-lite', 'i');
  mkdirSync(root, { recursive: true });
  writeFileSync(path.join(root, 'cgroup.procs'), '');
  const { tree, notices } = open('0::/\n', `41 31 0:38 / ${mount} rw - cgroup2 cgroup2 rw\n`);
  const group = tree?.create('unit.1');
  writeFileSync(group?.path ?? '', 'in the way');
  expect(await group?.enter(process.pid)).toBe(false);
  expect(await group?.enter(process.pid)).toBe(false);
  expect(notices).toHaveLength(1);
  expect(group?.isPopulated()).toBe(false);
  expect(group?.pids()).toEqual([]);
  expect(group?.kill()).toBe(false);
});

const isWritable = process.getuid?.() === 0 && / - cgroup2 /.test(readFileSync('/proc/self/mountinfo', 'utf8'));

test.runIf(isWritable)(
  'kill ends all within at once, nested cgroups too; the watch tells when it is empty',
  async () => {
    await using place = scratch({ withCgroup: true });
    const group = place.cgroup?.create('held.1');
    if (group === undefined) throw new Error('no cgroup');
    const child = spawn('sleep', ['300'], { stdio: 'ignore' });
    expect(await group.enter(child.pid ?? 0)).toBe(true);
    const nested = path.join(group.path, 'nested');
    mkdirSync(nested);
    const inner = spawn('sleep', ['300'], { stdio: 'ignore' });
    writeFileSync(path.join(nested, 'cgroup.procs'), String(inner.pid));
    expect([...group.pids()].sort()).toEqual([child.pid, inner.pid].sort());
    expect(group.isPopulated()).toBe(true);
    const emptied = new Promise<void>((resolve) => {
      group.watch(() => {
        if (!group.isPopulated()) resolve();
      });
    });
    const ends = [once(child, 'exit'), once(inner, 'exit')];
    expect(group.kill()).toBe(true);
    await emptied;
    await Promise.all(ends);
    group.remove();
    expect(existsSync(group.path)).toBe(false);
  },
);

test.runIf(isWritable)('a process that has ended before it could be moved is no problem', async () => {
  await using place = scratch({ withCgroup: true });
  const running = place.launch(unitOf('short', { run: ['true'] }));
  await running.exited;
  expect(await running.stop({})).toEqual([]);
  expect(place.notices).toEqual([]);
});

test('the end of one instance takes nothing from another, although it is empty at the moment', () => {
  const mount = mkdtempSync(path.join(folder, 'mount-'));
  const mountinfo = `41 31 0:38 / ${mount} rw - cgroup2 cgroup2 rw\n`;
  for (const instance of ['i', 'other']) {
    mkdirSync(path.join(mount, 'k3s-lite', instance, 'unit.1'), { recursive: true });
    writeFileSync(path.join(mount, 'k3s-lite', instance, 'cgroup.procs'), '');
  }
  const { tree } = open('0::/\n', mountinfo);
  rmSync(path.join(tree?.path ?? '', 'cgroup.procs'));
  tree?.remove();
  expect(existsSync(tree?.path ?? '')).toBe(false);
  expect(existsSync(path.join(mount, 'k3s-lite/other/unit.1'))).toBe(true);
});
