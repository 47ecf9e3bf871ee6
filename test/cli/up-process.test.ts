/** `up` as a process of its own, when what surrounds it fails: its output, its parent, its patience. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Program } from '../process/bundle.ts';
import { buildProgram, upPlace } from './up-place.ts';

let program: Program;
beforeAll(async () => {
  program = await buildProgram();
});
afterAll(() => program[Symbol.dispose]());
const place = (units: Readonly<Record<string, string>>) => upPlace(program, units);

const sleeper = 'about: Sleeps\nrun: [sleep, "300"]\n';

test('an `up` whose standard output is on a full disk says so once, keeps its units up and stops them when told', async () => {
  await using here = place({ sleeper });
  const full = openSync('/dev/full', 'w');
  const { ended } = here.run(['up'], full);
  closeSync(full);
  await expect.poll(here.isReady, { timeout: 10_000 }).toBe(true);
  await here.client.down({ hurry: false });
  const { code, err } = await ended;
  expect(err.match(/cannot write to standard output: ENOSPC/g)).toHaveLength(1);
  expect(code).toBe(1);
});

test('a command whose output does not reach its file fails', async () => {
  await using here = place({ sleeper });
  const full = openSync('/dev/full', 'w');
  const { ended } = here.run(['plan'], full);
  closeSync(full);
  const { code, err } = await ended;
  expect(err).toContain('cannot write to standard output: ENOSPC');
  expect(code).toBe(1);
});

test('an `up --wait` that is killed before everything is ready leaves a supervisor that goes on', async () => {
  await using here = place({
    slow: 'about: Ready when a file is there\nrun: [sleep, "300"]\nready: {file: "${dataDir}/go"}\n',
  });
  const { child, ended } = here.run(['up', '--wait']);
  await expect
    .poll(async () => (await here.client.status().catch(() => undefined))?.units[0]?.state, { timeout: 10_000 })
    .toBe('starting');
  child.kill('SIGKILL');
  await ended;
  writeFileSync(path.join(here.dataDir, 'go'), '');
  await expect.poll(here.isReady, { timeout: 10_000 }).toBe(true);
  // What it would say of an end of its own comes after it is ready.
  await expect.poll(() => readFileSync(path.join(here.dataDir, 'up.log'), 'utf8')).toMatch(/ready in/);
  expect(await here.isReady()).toBe(true);
});

test('a signal while the leftovers of an earlier run are ended is heeded: nothing is started', async () => {
  const script = `trap '' TERM; echo up; while :; do sleep 0.05; done`;
  const deaf = `about: Heeds no signal\nrun: [sh, -c, "${script}"]\nready: {log: up}\nstop: {within: 2s}\n`;
  await using here = place({ deaf });
  const first = here.run(['up']);
  await expect.poll(here.isReady, { timeout: 10_000 }).toBe(true);
  first.child.kill('SIGKILL');
  await first.ended;
  // Changed, or it would be adopted.
  here.writeUnits({ deaf: `${deaf}env: {A: b}\n` });
  const out = path.join(here.folder, 'out');
  const fd = openSync(out, 'a');
  const second = here.run(['up', '--json'], fd);
  closeSync(fd);
  const holder = () => readFileSync(path.join(here.dataDir, 'lock/2'), 'utf8');
  await expect
    .poll(() => JSON.parse(holder()) as unknown, { timeout: 10_000 })
    .toMatchObject({ pid: second.child.pid });
  second.child.kill('SIGTERM');
  expect(await second.ended).toMatchObject({ code: 128 + constants.signals.SIGTERM });
  expect(readFileSync(out, 'utf8')).not.toContain('process.spawned');
});

test.each([
  ['SIGTERM', 143],
  ['SIGINT', 130],
] as const)(
  '%s: the first stops, the second hurries, the third leaves, whatever is still under way',
  async (signal, code) => {
    // Its `undo` is never done, and hurrying kills what runs, not what clears up.
    await using here = place({
      stubborn: `about: Is undone for ever\nrun: [sleep, "300"]\nundo: [sh, -c, 'echo > "\${dataDir}/undoing"; exec sleep 302']\n`,
    });
    const { child, ended, out } = here.run(['up'], 'pipe');
    await expect.poll(here.isReady, { timeout: 10_000 }).toBe(true);
    child.kill(signal);
    await expect.poll(() => existsSync(path.join(here.dataDir, 'undoing')), { timeout: 10_000 }).toBe(true);
    expect(out()).not.toContain('in a hurry');
    child.kill(signal);
    await expect.poll(out, { timeout: 10_000 }).toContain('in a hurry: what still runs is killed at once');
    expect(child.exitCode).toBeNull();
    child.kill(signal);
    expect(await ended).toMatchObject({ code });
  },
);

test('an `up` whose own log cannot be written, or stops being so, says it, and ends when it is told to', async () => {
  await using here = place({ sleeper });
  const file = path.join(here.dataDir, 'k3s-lite.log');
  mkdirSync(path.dirname(file), { recursive: true });
  const told: string[] = [];
  for (const breakIt of [() => symlinkSync('/dev/full', file), () => mkdirSync(file)]) {
    breakIt();
    const out = path.join(here.folder, 'out');
    const fd = openSync(out, 'w');
    const { ended } = here.run(['up'], fd);
    closeSync(fd);
    await expect.poll(() => readFileSync(out, 'utf8'), { timeout: 10_000 }).toContain('cannot write the log');
    await here.client.down({ hurry: false });
    expect(await ended).toEqual({ code: 0, signal: null, err: '' });
    told.push(readFileSync(out, 'utf8'));
    rmSync(file, { recursive: true });
  }
  expect(told.map((text) => /cannot write the log: (E\w+)/.exec(text)?.[1])).toEqual(['ENOSPC', 'EISDIR']);
});

test('`up --detach` returns when the control socket answers, prints the pid and the log, and leaves it running', async () => {
  await using here = place({ sleeper });
  const out = path.join(here.folder, 'out');
  const fd = openSync(out, 'a');
  const { ended } = here.run(['up', '--detach'], fd);
  closeSync(fd);
  expect(await ended).toMatchObject({ code: 0, err: '' });
  const { instance } = await here.client.status();
  expect(readFileSync(out, 'utf8')).toBe(
    `k3s-lite runs with pid ${String(instance.pid)}; what it says is in ${path.join(here.dataDir, 'up.log')}\n`,
  );
  await expect.poll(here.isReady, { timeout: 10_000 }).toBe(true);
});

test('`up --detach` that cannot start says why and has its exit code', async () => {
  await using here = place({ broken: 'about: No program\nrunn: [sleep]\n' });
  const out = path.join(here.folder, 'out');
  const fd = openSync(out, 'a');
  const { ended } = here.run(['up', '--detach'], fd);
  closeSync(fd);
  expect(await ended).toMatchObject({ code: 3 });
  expect(readFileSync(out, 'utf8')).toMatch(/broken\.yaml:2:1: error: unknown key "runn"/);
});

test('[S8] start, stop, restart, reload, events and dump on a running k3s-lite', { timeout: 60_000 }, async () => {
  const unitFile = (name: string) => path.join(here.folder, 'units', `${name}.yaml`);
  await using here = place({
    db: 'about: Database\nrun: [sleep, "300"]\n',
    api: 'about: API\nrun: [sleep, "301"]\nneeds: [{hard: db}]\n',
    ui: 'about: UI\nrun: [sleep, "302"]\nneeds: [{soft: api, maxWait: 2s}]\n',
  });
  const supervisor = here.run(['up']);
  await expect.poll(here.isReady, { timeout: 10_000 }).toBe(true);
  const pidsOf = async () =>
    Object.fromEntries((await here.client.status()).units.map(({ unit, pid }) => [unit, pid] as const));
  const cli = async (...words: readonly string[]) => {
    const out = path.join(here.folder, `out-${words.join('-').replaceAll('/', '')}`);
    const fd = openSync(out, 'w');
    const child = spawn(process.execPath, [program.file, ...words, '--data-dir', here.dataDir], {
      stdio: ['ignore', fd, fd],
      env: { ...process.env, NO_COLOR: '1' },
    });
    closeSync(fd);
    const [code] = (await once(child, 'close')) as [number];
    return { code, out: readFileSync(out, 'utf8') };
  };
  const before = await pidsOf();

  expect(await cli('stop', 'db')).toMatchObject({ code: 2, out: expect.stringContaining('needed by api') as string });
  expect(await cli('stop', 'apii')).toMatchObject({ code: 3, out: expect.stringContaining('"api"') as string });
  expect(await pidsOf(), 'a refused stop touches nothing').toEqual(before);
  expect(await cli('stop', '--cascade', 'db')).toMatchObject({ code: 0 });
  expect(await pidsOf()).toEqual({ ui: before['ui'] });
  expect((await cli('why', 'api')).out).toContain('root cause: api is stopped by the user');
  expect(await cli('start', 'api')).toMatchObject({ code: 0 });
  const again = await pidsOf();
  expect(again).toMatchObject({
    ui: before['ui'],
    db: expect.any(Number) as number,
    api: expect.any(Number) as number,
  });
  expect(await cli('restart', 'api')).toMatchObject({ code: 0 });
  const restarted = await pidsOf();
  expect([restarted['db'] === again['db'], restarted['api'] === again['api']]).toEqual([true, false]);

  writeFileSync(unitFile('ui'), 'about: UI\nrun: [sleep, "303"]\nneeds: [{soft: api, maxWait: 2s}]\n');
  expect(await cli('reload', '--dry-run')).toMatchObject({ code: 0, out: 'restart: ui\n' });
  expect(await pidsOf()).toEqual(restarted);
  expect(await cli('reload')).toMatchObject({ code: 0 });
  const reloaded = await pidsOf();
  expect(reloaded).toMatchObject({ db: restarted['db'], api: restarted['api'] });
  expect(reloaded['ui']).not.toBe(restarted['ui']);

  writeFileSync(unitFile('ui'), 'about: UI\nrun: [sh, -c, "echo no such flag; exit 7"]\nready: {tcp: "127.0.0.1:1"}\n');
  const rolledBack = await cli('reload');
  expect(rolledBack.code).toBe(4);
  expect(rolledBack.out).toContain('ui did not become ready and is back to its previous definition');
  expect(rolledBack.out).toContain('no such flag');
  await expect.poll(here.isReady, { timeout: 10_000 }).toBe(true);
  const back = await pidsOf();
  expect(back).toMatchObject({ db: restarted['db'], api: restarted['api'] });
  expect(readFileSync(`/proc/${String(back['ui'])}/cmdline`, 'utf8')).toContain('303');

  writeFileSync(unitFile('ui'), 'about: [\n');
  expect(await cli('reload')).toMatchObject({
    code: 3,
    out: expect.stringMatching(/ui\.yaml:\d+:\d+: error/) as string,
  });
  expect(await pidsOf()).toEqual(back);

  // SIGHUP does the same; what comes of it is in the events.
  rmSync(unitFile('ui'));
  supervisor.child.kill('SIGHUP');
  await expect.poll(async () => Object.keys(await pidsOf()), { timeout: 10_000 }).toEqual(['db', 'api']);
  supervisor.child.kill('SIGUSR2');
  const events = () => cli('events');
  await expect.poll(async () => (await events()).out, { timeout: 10_000 }).toContain('the state is in ');
  const { out } = await events();
  expect(out).toMatch(/reload\.finished .*"stop":\["ui"\]/);
  const [, seq = ''] = /^(\d+) .* reload\.finished/m.exec(out) ?? [];
  expect((await cli('events', '--since', seq)).out).toMatch(new RegExp(`^${seq} `));
  const file = (await cli('dump')).out.trim();
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({
    ready: true,
    queues: { start: 0 },
    units: [{ unit: 'db', machine: { state: { id: 'ready' } }, gates: { kind: 'open' } }, { unit: 'api' }],
  });
});

test('[S8] `why` tells which dependents a stop waits for, until the unit is started again', async () => {
  const deaf = `[sh, -c, "trap '' TERM; echo up; while :; do sleep 0.05; done"]\nready: {log: up}\nstop: {within: 1h}`;
  await using here = place({
    db: 'about: Database\nrun: [sleep, "300"]\n',
    api: `about: Does not stop\nrun: ${deaf}\nneeds: [{hard: db}]\n`,
    ui: 'about: UI\nrun: [sleep, "302"]\nneeds: [{hard: api}]\n',
  });
  const cli = async (...words: readonly string[]) => {
    const { ended, out } = here.run(words, 'pipe');
    expect((await ended).code).toBe(0);
    return out();
  };
  here.run(['up']);
  await expect.poll(here.isReady, { timeout: 10_000 }).toBe(true);
  await cli('stop', '--cascade', '--no-wait', 'db');
  const why = () => cli('why', 'db');
  await expect.poll(why, { timeout: 10_000 }).toMatch(/is to stop, and waits until these have: api \(stopping, for /);
  expect(await why()).toMatch(/^root cause: api is stopping, for [^,]*$/m);
  await cli('start', '--no-wait', 'db');
  expect(await why()).not.toContain('is to stop');
});
