/** `up` as a process of its own, when what surrounds it fails: its output, its parent, its patience. */
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildProgram, upPlace, type Program } from './up-place.ts';

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
