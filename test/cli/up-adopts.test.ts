/**
 * `up` killed with SIGKILL and started again, over a small graph of real processes.
 *
 *   prepare (task) ─► db (notify) ─► api (log) ─► worker
 */
import { mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { WireSnapshot } from '../../src/control/protocol.ts';
import { systemProc } from '../../src/process/proc-reader.ts';
import type { Program } from '../process/bundle.ts';
import { buildProgram, repository, unitsOf, upPlace, type UpPlace } from './up-place.ts';

let program: Program;
beforeAll(async () => {
  program = await buildProgram();
});
afterAll(() => program[Symbol.dispose]());

/** Says READY=1 once, and STATUS=later at SIGHUP. */
const notifier = `
const { DgramSocket } = require('node:module').createRequire(${JSON.stringify(`${repository}/package.json`)})('node-unix-socket');
const socket = new DgramSocket();
const tell = (text) => socket.sendTo(Buffer.from(text), 0, text.length, process.env.NOTIFY_SOCKET, () => undefined);
process.on('SIGHUP', () => tell('STATUS=later'));
tell('READY=1');
setInterval(() => undefined, 1000);
`;

const units = {
  prepare: 'about: Prepares\nkind: task\nrun: [sh, -c, "echo prepared >> ${dataDir}/prepared"]\n',
  db: `about: Says once that it is ready\nrun: ["${process.execPath}", "\${dataDir}/../notifier.cjs"]\nneeds: [{hard: prepare}]\nready: {notify: true}\n`,
  api: 'about: Ready by a line\nrun: [sh, -c, "echo serving; exec sleep 300"]\nneeds: [{hard: db, onLoss: restart}]\nready: {log: serving}\n',
  worker: 'about: Works\nrun: [sleep, "300"]\nneeds: [{hard: api}]\n',
};
type Name = keyof typeof units;

function graphPlace(): UpPlace {
  const here = upPlace(program, units);
  writeFileSync(path.join(here.folder, 'notifier.cjs'), notifier);
  return here;
}

const snapshots = async (here: UpPlace): Promise<ReadonlyMap<string, WireSnapshot>> =>
  new Map((await here.client.status()).units.map((snapshot) => [snapshot.unit, snapshot]));
const pidsOf = async (here: UpPlace) =>
  Object.fromEntries(
    [...(await snapshots(here))].flatMap(([unit, { pid }]) => (pid === undefined ? [] : [[unit, pid]])),
  ) as Record<Name, number>;
const prepared = ({ dataDir }: UpPlace) => readFileSync(path.join(dataDir, 'prepared'), 'utf8').split('\n').length - 1;
const isOver = (pid: number) => ['Z', undefined].includes(systemProc.stat(pid)?.state);

/** Brings everything up, kills k3s-lite, and returns the processes of its units. */
async function upAndKilled(here: UpPlace) {
  const first = here.run(['up']);
  await expect.poll(here.isReady, { timeout: 10_000 }).toBe(true);
  const pids = await pidsOf(here);
  first.child.kill('SIGKILL');
  await first.ended;
  return pids;
}

async function upAgain(here: UpPlace) {
  const again = here.run(['up'], 'pipe');
  await expect.poll(here.isReady, { timeout: 10_000 }).toBe(true);
  return again;
}

test('[C5] a killed `up` that is started again adopts its units: each keeps its pid, generation and messages', async () => {
  await using here = graphPlace();
  const before = await upAndKilled(here);
  const again = await upAgain(here);
  expect(await pidsOf(here)).toEqual(before);
  expect(prepared(here), 'a finished task stands').toBe(1);
  for (const { generation, restarts } of (await snapshots(here)).values())
    expect([generation, restarts]).toEqual([1, 0]);
  await expect.poll(again.out).toMatch(/adopted 4 units/);
  expect(again.out()).toMatch(new RegExp(`db adopted: pid ${String(before.db)} runs since`));

  const metrics = await here.client.metrics();
  for (const name of ['db', 'api', 'worker'])
    expect(metrics).toMatch(new RegExp(`^k3s_lite_unit_memory_bytes\\{unit="${name}"\\} [1-9]`, 'm'));

  // The socket that it was given at its start is heard by the new k3s-lite.
  process.kill(before.db, 'SIGHUP');
  await expect.poll(async () => (await snapshots(here)).get('db')?.status).toBe('later');

  again.child.kill('SIGTERM');
  expect(await again.ended).toMatchObject({ code: 0 });
  expect(Object.values(before).filter((pid) => !isOver(pid))).toEqual([]);
  expect(() => statSync(here.paths.runDir), 'nothing is left').toThrow('ENOENT');
});

test('an adopted process that ends is noticed, honestly without an exit code, and started as the next generation', async () => {
  await using here = graphPlace();
  const before = await upAndKilled(here);
  await upAgain(here);
  process.kill(before.worker, 'SIGKILL');
  await expect.poll(async () => (await snapshots(here)).get('worker')?.generation, { timeout: 5000 }).toBe(2);
  await expect.poll(here.isReady).toBe(true);
  const after = await pidsOf(here);
  expect(after).toMatchObject({ db: before.db, api: before.api });
  expect(after.worker).not.toBe(before.worker);
  expect(readFileSync(path.join(here.dataDir, 'k3s-lite.log'), 'utf8')).toContain('"kind":"unknown"');
});

test('what changed is ended and started; what is bound to it too; the rest keeps its pid', async () => {
  await using here = graphPlace();
  const before = await upAndKilled(here);
  here.writeUnits({ db: `${units.db}env: {CHANGED: "1"}\n` });
  const again = await upAgain(here);
  const after = await pidsOf(here);
  expect(after.worker).toBe(before.worker);
  expect(after.db).not.toBe(before.db);
  expect(after.api, 'onLoss: restart').not.toBe(before.api);
  expect([isOver(before.db), isOver(before.api)]).toEqual([true, true]);
  await expect.poll(again.out).toMatch(/db: ending 1 process of an earlier run .*: its unit has changed/);
  expect(again.out()).toMatch(/api: ending .*: it lost db/);
});

test('another PATH restarts nothing, another program of that name does', async () => {
  await using here = upPlace(program, { worker: 'about: Found on PATH\nrun: [work]\n' });
  const [first, second] = ['first', 'second'].map((name) => {
    const folder = path.join(here.folder, name);
    mkdirSync(folder);
    writeFileSync(path.join(folder, 'work'), '#!/bin/sh\nexec sleep 300\n', { mode: 0o755 });
    return folder;
  }) as [string, string];
  const upAndKilledWith = async (...folders: string[]) => {
    const env = { PATH: [...folders, process.env['PATH'] ?? ''].join(':') };
    const up = here.run(['up'], 'pipe', { env });
    await expect.poll(here.isReady, { timeout: 10_000 }).toBe(true);
    const { worker } = await pidsOf(here);
    await expect.poll(up.out).toMatch(/ready in/);
    up.child.kill('SIGKILL');
    await up.ended;
    return { worker, out: up.out() };
  };
  const before = await upAndKilledWith(first);
  const link = path.join(here.folder, 'link');
  symlinkSync(first, link);
  expect((await upAndKilledWith('/nowhere', link)).worker).toBe(before.worker);
  const changed = await upAndKilledWith(second, first);
  expect(changed.worker).not.toBe(before.worker);
  expect(changed.out).toMatch(/worker: ending .*: its program has changed/);
  // Replaced where it lies, as a package manager does.
  rmSync(path.join(second, 'work'));
  writeFileSync(path.join(second, 'work'), '#!/bin/sh\nexec sleep 300\n', { mode: 0o755 });
  expect((await upAndKilledWith(second)).worker).not.toBe(changed.worker);
});

test('what is no longer wanted is ended', async () => {
  await using here = graphPlace();
  const before = await upAndKilled(here);
  const again = here.run(['up', 'db'], 'pipe');
  await expect.poll(here.isReady, { timeout: 10_000 }).toBe(true);
  expect((await pidsOf(here)).db).toBe(before.db);
  expect([isOver(before.api), isOver(before.worker)]).toEqual([true, true]);
  expect(again.out()).toMatch(/worker: ending .*: it is not wanted/);
});

test('when all processes have died meanwhile, tasks run again', async () => {
  await using here = graphPlace();
  await upAndKilled(here);
  for (const pid of unitsOf(path.basename(here.paths.runDir))) process.kill(pid, 'SIGKILL');
  await upAgain(here);
  expect(prepared(here)).toBe(2);
});

test('a signal before anything is started ends what would have been adopted', async () => {
  const deaf = `trap '' TERM; echo up; while :; do sleep 0.05; done`;
  await using here = upPlace(program, {
    deaf: `about: Heeds no signal\nrun: [sh, -c, "${deaf}"]\nready: {log: up}\nstop: {within: 2s}\n`,
    kept: 'about: Would be adopted\nrun: [sleep, "300"]\n',
  });
  const first = here.run(['up']);
  await expect.poll(here.isReady, { timeout: 10_000 }).toBe(true);
  const { kept } = (await pidsOf(here)) as unknown as { kept: number };
  first.child.kill('SIGKILL');
  await first.ended;
  here.writeUnits({ deaf: `about: Changed\nrun: [sh, -c, "${deaf}"]\nready: {log: up}\nenv: {A: b}\n` });
  const second = here.run(['up'], 'pipe');
  await expect.poll(() => lockedBy(here), { timeout: 10_000 }).toBe(second.child.pid);
  second.child.kill('SIGTERM');
  await second.ended;
  expect(isOver(kept)).toBe(true);
  expect(unitsOf(path.basename(here.paths.runDir))).toEqual([]);
});

const lockedBy = ({ dataDir }: UpPlace) =>
  (JSON.parse(readFileSync(path.join(dataDir, 'lock/2'), 'utf8')) as { pid: number }).pid;
