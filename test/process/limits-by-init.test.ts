/** `limits` of a unit, and `k3s-lite-init exec`, which sets them before the program runs. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { initProgram } from './pid-namespace.ts';
import { scratch, unitOf } from './scratch.ts';

let init: string;
beforeAll(async () => {
  init = await initProgram();
}, 60_000);

const isRoot = process.getuid?.() === 0;
const baseEnv = () => ({ ...process.env, PATH: `${path.dirname(init)}:${process.env['PATH'] ?? ''}` });
const shell = (...flags: readonly string[]) => {
  const script = 'cat /proc/self/limits /proc/self/oom_score_adj; id -u; id -g; id -G';
  const { stdout, stderr, status } = spawnSync(init, ['exec', ...flags, '--', 'sh', '-c', script], {
    encoding: 'utf8',
  });
  return { stdout, stderr, status };
};

test('[C5] a unit with limits has them, and is in its cgroup, from its first instruction', async () => {
  await using place = scratch({ withCgroup: true, baseEnv: baseEnv() });
  const script = 'ulimit -Sn; ulimit -Hn; cat /proc/self/oom_score_adj /proc/self/cgroup; echo $0 $1';
  const limits = { nofile: 64, oomScoreAdjust: 321 };
  const running = place.launch(unitOf('limited', { run: ['sh', '-c', script, 'zero', '--', 'one'], limits }));
  expect(await running.exited).toEqual({ kind: 'code', code: 0 });
  const [soft, hard, oomScore, ...rest] = place.logText('limited').trim().split('\n');
  expect([soft, oomScore, rest.at(-1)]).toEqual(['64', '321', 'zero --']);
  expect(Number(hard)).toBeGreaterThan(64);
  if (place.cgroup !== undefined) {
    expect(rest.find((line) => line.startsWith('0::'))).toContain(`/k3s-lite/${place.marker}/limited.1-`);
  }
  expect(place.notices.filter((text) => text.includes('limits'))).toEqual([]);
  await running.stop({});
});

test('the cgroup that it entered by itself is removed when its run is over', async () => {
  await using place = scratch({ withCgroup: true, baseEnv: baseEnv() });
  const unit = unitOf('limited', { run: ['sh', '-c', 'cat /proc/self/cgroup'], limits: { nofile: 64 } });
  const running = place.launch(unit);
  await running.exited;
  await running.stop({});
  const own = /^0::.*\/(limited\.1-.*)$/m.exec(place.logText('limited'))?.[1];
  if (place.cgroup === undefined) return;
  expect(own).toBeDefined();
  await expect.poll(() => existsSync(path.join(place.cgroup?.path ?? '', own ?? ''))).toBe(false);
});

test.runIf(isRoot)(
  'a unit of another user has its limits, and is in a cgroup that the user may not enter',
  async () => {
    await using place = scratch({ withCgroup: true, baseEnv: baseEnv(), defaultCwd: '/' });
    const script = 'id -u; id -g; id -G; cat /proc/self/oom_score_adj; echo $HOME; cat /proc/self/cgroup';
    const unit = unitOf('poor', { run: ['sh', '-c', script], user: 'daemon', limits: { oomScoreAdjust: 321 } });
    const running = place.launch(unit);
    await running.exited;
    expect(place.logText('poor')).toMatch(/^1\n1\n1\n321\n\/usr\/sbin\n/);
    if (place.cgroup !== undefined) expect(place.logText('poor')).toContain(`/${place.marker}/poor.1-`);
    await running.stop({});
  },
);

test('without the init limits are set as well as prlimit and a moment after the start allow', async () => {
  await using place = scratch({ baseEnv: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } });
  const limits = { nofile: 64, oomScoreAdjust: 321 };
  const running = place.launch(unitOf('limited', { run: ['sleep', '300'], limits }));
  const proc = `/proc/${String(running.pid)}`;
  expect(readFileSync(`${proc}/oom_score_adj`, 'utf8').trim()).toBe('321');
  await expect.poll(() => readFileSync(`${proc}/limits`, 'utf8')).toMatch(/^Max open files +64 /m);
});

test('[C5] `exec` sets any limit, clamped to the hard one, and keeps pid, arguments and exit code', () => {
  const { stdout } = shell('--nofile=9999999999', '--rlimit=core=0:0', '--rlimit', 'memlock=4096:8192');
  const hard = /^Max open files +\d+ +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 'unlimited';
  expect(stdout).toMatch(new RegExp(`^Max open files +${hard} +${hard} `, 'm'));
  expect(stdout).toMatch(/^Max core file size +0 +0 /m);
  expect(stdout).toMatch(/^Max locked memory +4096 +8192 /m);
  expect(spawnSync(init, ['exec', '--', 'sh', '-c', 'exit 9']).status).toBe(9);
  expect(spawnSync(init, ['exec', '--', 'no-such-program']).status).toBe(127);
});

test.runIf(isRoot)('`exec` becomes a user by name or number, with no other groups', () => {
  expect(shell('--user', 'daemon').stdout).toMatch(/\n1\n1\n1\n$/);
  expect(shell('--user', '12345:daemon').stdout).toMatch(/\n12345\n1\n1\n$/);
  expect(shell('--user', 'nobody-at-all')).toMatchObject({ status: 126, stdout: '' });
});

test('what the system refuses is said, and the program runs; what is no limit at all is a mistake', () => {
  const refused = shell('--cgroup', '/proc/self/no-such-cgroup');
  expect(refused).toMatchObject({ status: 0 });
  expect(refused.stderr).toContain('not in cgroup /proc/self/no-such-cgroup');
  for (const flags of [['--rlimit=nofiles=3'], ['--nofile=many'], ['--oom-score-adj=2000'], []] as const) {
    expect(spawnSync(init, ['exec', ...flags, '--']).status).toBe(2);
  }
  expect(execFileSync(init, ['--version'], { encoding: 'utf8' })).toMatch(/^k3s-lite-init \d+\.\d+\.\d+\n$/);
});

test.runIf(isRoot)(
  '[V10] a unit of root has the capabilities of its limits, its children have no more, and none comes back',
  async () => {
    await using place = scratch({ defaultCwd: '/' });
    const script = 'grep -h Cap /proc/self/status; unshare --mount true || echo refused';
    const unit = unitOf('confined', {
      run: ['sh', '-c', script],
      limits: { capabilities: ['NET_ADMIN', 'NET_RAW'] },
    });
    const running = place.launch(unit);
    await running.exited;
    const text = place.logText('confined');
    // Bits 12 and 13. Source: linux/capability.h.
    for (const set of ['CapPrm', 'CapEff', 'CapBnd']) expect(text).toContain(`${set}:\t0000000000003000`);
    expect(text).toContain('refused');
    expect(place.notices).toEqual([]);
    await running.stop({});
  },
);
