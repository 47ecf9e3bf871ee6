import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { systemProc } from '../../src/process/proc-reader.ts';
import { markerVariable } from '../../src/process/run-marker.ts';
import { scratch, unitOf } from './scratch.ts';

const thrown = (run: () => unknown): NodeJS.ErrnoException => {
  try {
    run();
  } catch (error) {
    return error as NodeJS.ErrnoException;
  }
  throw new Error('nothing was thrown');
};

test('output of both streams goes to the log file, flags are appended, the exit code is told', async () => {
  await using place = scratch();
  const unit = unitOf('talker', {
    run: ['sh', '-c', 'echo "out $@"; echo err >&2; exit 7', 'sh'],
    flags: { name: 'value', gone: null, empty: '' },
  });
  const { exited } = place.launch(unit);
  expect(await exited).toEqual({ kind: 'code', code: 7 });
  expect(place.logText('talker')).toBe('out --name=value --empty=\nerr\n');
  expect(statSync(path.join(place.logDir, 'talker.log')).mode & 0o777).toBe(0o600);
  expect(statSync(place.logDir).mode & 0o777).toBe(0o700);
});

test('a log folder that was removed is made again at the next start', async () => {
  await using place = scratch();
  await place.launch(unitOf('echo', { run: ['echo', 'one'] })).exited;
  rmSync(place.logDir, { recursive: true });
  await place.launch(unitOf('echo', { run: ['echo', 'two'] }), 2).exited;
  expect(place.logText('echo')).toBe('two\n');
  expect(statSync(place.logDir).mode & 0o777).toBe(0o700);
});

test('a process ended by a signal is told as such', async () => {
  await using place = scratch();
  const running = place.launch(unitOf('sleeper', { run: ['sleep', '300'] }));
  process.kill(running.pid, 'SIGQUIT');
  expect(await running.exited).toEqual({ kind: 'signal', signal: 'SIGQUIT' });
});

test('the environment is a minimal one, then envFile, secrets, env and what the executor adds', async () => {
  const baseEnv = { PATH: process.env['PATH'], HOME: '/home/x', LC_ALL: 'C', https_proxy: 'http://p', NOISE: 'no' };
  await using place = scratch({ baseEnv });
  writeFileSync(path.join(place.folder, 'env'), '# comment\n\nFROM_FILE="a b"\nexport BOTH=file\n');
  writeFileSync(path.join(place.folder, 'password'), 'hunter2\n');
  const unit = unitOf('env', {
    run: ['env', '-0'],
    envFile: 'env',
    env: { BOTH: 'unit', OWN: '1' },
    secrets: { PASSWORD: 'password' },
  });
  await place.launch(unit, 3, { NOTIFY_SOCKET: '/n' }).exited;
  const env = Object.fromEntries(
    place
      .logText('env')
      .split('\0')
      .filter(Boolean)
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
  const marker: unknown = expect.stringMatching(`^${place.marker}/env/3/[0-9-]+/cgroup$`);
  expect(env).toEqual({
    PATH: baseEnv.PATH,
    HOME: '/home/x',
    LC_ALL: 'C',
    https_proxy: 'http://p',
    FROM_FILE: 'a b',
    BOTH: 'unit',
    OWN: '1',
    PASSWORD: 'hunter2',
    NOTIFY_SOCKET: '/n',
    [markerVariable]: marker,
  });
});

test('a secret is in no record and in no notice', async () => {
  await using place = scratch();
  writeFileSync(path.join(place.folder, 'password'), 'hunter2\n');
  const running = place.launch(unitOf('keeper', { run: ['sleep', '300'], secrets: { PASSWORD: 'password' } }));
  // The kernel shows it when the program is loaded, which is a moment after the spawn.
  await expect.poll(() => systemProc.environ(running.pid, 'PASSWORD')).toBe('hunter2');
  const texts = readdirSync(place.recordDir).map((name) => readFileSync(path.join(place.recordDir, name), 'utf8'));
  expect(texts).toHaveLength(1);
  for (const text of [...texts, ...place.notices]) expect(text).not.toContain('hunter2');
});

test('the run record is complete on disk when launch returns, 0600, and gone after the stop', async () => {
  await using place = scratch();
  const unit = unitOf('recorded', { run: ['sleep', '300'], stop: { scope: 'group', within: '3s' } });
  const running = place.launch(unit, 5, { NOTIFY_SOCKET: '/run/n.sock' });
  const file = path.join(place.recordDir, 'recorded.json');
  const record: unknown = JSON.parse(readFileSync(file, 'utf8'));
  expect(record).toMatchObject({
    unit: 'recorded',
    generation: 5,
    hash: unit.hash,
    pid: running.pid,
    startTicks: systemProc.stat(running.pid)?.startTicks,
    bootId: systemProc.bootId(),
    scope: 'group',
    stopSignal: 'SIGTERM',
    stopWithinMs: 3000,
    notifySocket: '/run/n.sock',
  });
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(await running.stop({})).toEqual([]);
  expect(existsSync(file)).toBe(false);
});

test('a missing program is an ENOENT that names it and the folders searched', async () => {
  await using place = scratch({ baseEnv: { PATH: '/usr/bin:/bin' } });
  const error = thrown(() => place.launch(unitOf('missing', { run: ['no-such-program'] })));
  expect(error).toMatchObject({
    code: 'ENOENT',
    message: 'cannot run no-such-program: not found in PATH (searched /usr/bin, /bin)',
  });
  const absolute = thrown(() => place.launch(unitOf('missing', { run: ['/no/such/program'] })));
  expect(absolute).toMatchObject({ code: 'ENOENT', message: expect.stringContaining('/no/such/program') as unknown });
  expect(readdirSync(place.recordDir)).toEqual([]);
});

test('a file that is not executable is an EACCES, a script without its interpreter an ENOENT that says so', async () => {
  await using place = scratch();
  const plain = path.join(place.folder, 'plain');
  writeFileSync(plain, 'text', { mode: 0o644 });
  expect(thrown(() => place.launch(unitOf('plain', { run: [plain] })))).toMatchObject({
    code: 'EACCES',
    message: expect.stringContaining('is not executable') as unknown,
  });
  expect(thrown(() => place.launch(unitOf('folder', { run: [place.folder] })))).toMatchObject({ code: 'EACCES' });
  const script = path.join(place.folder, 'script');
  writeFileSync(script, '#!/no/such/interpreter\n');
  chmodSync(script, 0o755);
  expect(thrown(() => place.launch(unitOf('script', { run: [script] })))).toMatchObject({
    code: 'ENOENT',
    message: expect.stringContaining('interpreter /no/such/interpreter does not exist') as unknown,
  });
});

test('a missing working directory is told apart from a missing program', async () => {
  await using place = scratch();
  expect(thrown(() => place.launch(unitOf('lost', { run: ['true'], cwd: 'nowhere' })))).toMatchObject({
    code: 'ENOENT',
    message: `its working directory ${path.join(place.folder, 'nowhere')} does not exist`,
  });
  mkdirSync(path.join(place.folder, 'somewhere'));
  const unit = unitOf('found', { run: ['pwd', '-P'], cwd: 'somewhere' });
  await place.launch(unit).exited;
  expect(place.logText('found').trim()).toBe(realpathSync(path.join(place.folder, 'somewhere')));
});

test('an unknown user, group, envFile or secret is named', async () => {
  await using place = scratch();
  const launch = (input: Parameters<typeof unitOf>[1]) => thrown(() => place.launch(unitOf('who', input)));
  expect(launch({ run: ['true'], user: 'nobody-at-all' }).message).toContain('user "nobody-at-all" does not exist');
  expect(launch({ run: ['true'], group: 'no-group' }).message).toContain('group "no-group" does not exist');
  expect(launch({ run: ['true'], envFile: '/no/env' })).toMatchObject({ code: 'ENOENT' });
  expect(launch({ run: ['true'], secrets: { A: '/no/secret' } }).message).toContain('secret A: cannot read /no/secret');
});

test.runIf(process.getuid?.() === 0)('user and group are those of the unit, without supplementary groups', async () => {
  await using place = scratch({ defaultCwd: '/' });
  await place.launch(unitOf('who', { run: ['sh', '-c', 'id -u; id -g; id -G; echo $HOME $USER'], user: 'daemon' }))
    .exited;
  expect(place.logText('who')).toBe('1\n1\n1\n/usr/sbin daemon\n');
});

test('limits.nofile is set, and clamped to the hard limit instead of failing', async () => {
  await using place = scratch();
  const run = ['sh', '-c', 'ulimit -Sn'];
  await place.launch(unitOf('few', { run, limits: { nofile: 64 } })).exited;
  expect(place.logText('few')).toBe('64\n');
  await place.launch(unitOf('many', { run, limits: { nofile: 2 ** 40 } })).exited;
  expect(place.logText('many')).toBe(place.logText('many').replace(/^0$/m, 'failed'));
  expect(Number(place.logText('many'))).toBeGreaterThan(64);
});

test('oom_score_adj is set', async () => {
  await using place = scratch();
  const running = place.launch(unitOf('oom', { run: ['sleep', '300'], limits: { oomScoreAdjust: 321 } }));
  expect(readFileSync(`/proc/${String(running.pid)}/oom_score_adj`, 'utf8').trim()).toBe('321');
});

test('a launch takes little of the main thread', async () => {
  await using place = scratch({ withCgroup: true });
  const unit = unitOf('quick', { run: ['true'] });
  const timesMs: number[] = [];
  for (let generation = 1; generation <= 21; generation += 1) {
    // Processor time: the machine may be busy with other tests.
    const before = process.cpuUsage();
    const running = place.launch(unit, generation);
    const { user, system } = process.cpuUsage(before);
    timesMs.push((user + system) / 1000);
    await running.exited;
    await running.stop({});
  }
  timesMs.sort((a, b) => a - b);
  // 1.4 ms in the program; the heap of a test runner makes fork slower.
  expect(timesMs[10]).toBeLessThan(8);
});

test('runToEnd gives exit and output, and logs it', async () => {
  await using place = scratch();
  const { signal } = new AbortController();
  const unit = unitOf('undoer', { run: ['true'] });
  const argv = ['sh', '-c', 'echo one; echo two >&2; exit 3'];
  expect(await place.layer.runToEnd({ unit, argv, signal })).toEqual({
    exit: { kind: 'code', code: 3 },
    output: 'one\ntwo\n',
  });
  expect(place.logText('undoer')).toBe('one\ntwo\n');
  expect(readdirSync(place.logDir)).toEqual(['undoer.log']);
});

test('runToEnd does not wait for what its program leaves behind', async () => {
  await using place = scratch();
  const { signal } = new AbortController();
  const unit = unitOf('undoer', { run: ['true'] });
  const argv = ['sh', '-c', 'sleep 300 & echo started'];
  expect((await place.layer.runToEnd({ unit, argv, signal })).output).toBe('started\n');
});

test('runToEnd kills the group when its signal aborts, and throws the reason', async () => {
  await using place = scratch();
  const controller = new AbortController();
  const unit = unitOf('undoer', { run: ['true'] });
  const reason = new Error('enough');
  const outcome = place.layer.runToEnd({ unit, argv: ['sh', '-c', 'sleep 300; true'], signal: controller.signal });
  controller.abort(reason);
  await expect(outcome).rejects.toBe(reason);
  await expect(place.layer.runToEnd({ unit, argv: ['true'], signal: controller.signal })).rejects.toBe(reason);
  const missing = place.layer.runToEnd({ unit, argv: ['no-such-program'], signal: new AbortController().signal });
  await expect(missing).rejects.toMatchObject({ code: 'ENOENT' });
});
