/**
 * `down` after `up` was killed with SIGKILL: it stops what lives on, in stop order, and undoes what was done.
 *
 *   net (task, undo) ─► db (undo) ─► api ─► worker
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Program } from '../process/bundle.ts';
import { buildProgram, upPlace, type UpPlace } from './up-place.ts';

let program: Program;
beforeAll(async () => {
  program = await buildProgram();
});
afterAll(() => program[Symbol.dispose]());

/** Writes its name when it is told to end, and ends. */
const told = (name: string) =>
  `[sh, -c, "trap 'echo ${name} >> order; exit 0' TERM; echo up; sleep 300 & wait"]\nready: {log: up}`;
const undone = (name: string) => `undo: [sh, -c, "echo undo ${name} >> order"]`;
const units = {
  net: `about: Makes a net\nkind: task\nrun: ["true"]\n${undone('net')}\n`,
  db: `about: Stores\nrun: ${told('db')}\nneeds: [{hard: net}]\n${undone('db')}\n`,
  api: `about: Serves\nrun: ${told('api')}\nneeds: [{hard: db}]\n`,
  worker: `about: Works\nrun: ${told('worker')}\nneeds: [{hard: api}]\n`,
};
const order = ({ dataDir }: UpPlace) => readFileSync(path.join(dataDir, 'order'), 'utf8').trim().split('\n');

async function upAndKilled(here: UpPlace, ...args: readonly string[]) {
  const up = here.run(['up', ...args]);
  await expect.poll(here.isReady, { timeout: 20_000 }).toBe(true);
  up.child.kill('SIGKILL');
  await up.ended;
  expect(here.left()).not.toEqual([]);
}

async function down(here: UpPlace, ...args: readonly string[]) {
  const { ended, out } = here.run(['down', ...args], 'pipe');
  const { code, err } = await ended;
  return { code, err, out: out() };
}

test('[C6] what a killed `up` left is stopped in stop order, each with its undo, and nothing is left', async () => {
  await using here = upPlace(program, units);
  await upAndKilled(here);
  const { code, err, out } = await down(here);
  expect([code, err]).toEqual([0, '']);
  expect(order(here)).toEqual(['worker', 'api', 'db', 'undo db', 'undo net']);
  const lines = ['worker stopped', 'api stopped', 'db stopped', 'net stopped'];
  expect(out.split('\n').slice(0, -2)).toEqual(['k3s-lite itself was killed; stopping what it left running', ...lines]);
  expect(out).toMatch(/\neverything is stopped \(.*\)\n$/);
  expect(here.left()).toEqual([]);
  expect(existsSync(here.paths.runDir) ? readdirSync(here.paths.runDir) : []).toEqual([]);
  expect(existsSync(here.paths.runDir)).toBe(false);
  expect((await down(here)).out).toBe(`nothing runs for ${here.dataDir}\n`);
});

test('only what was to be up is undone', async () => {
  await using here = upPlace(program, {
    ...units,
    other: `about: Not asked for\nrun: ${told('other')}\n${undone('other')}\n`,
  });
  await upAndKilled(here, 'worker');
  expect(await down(here)).toMatchObject({ code: 0 });
  expect(order(here)).toEqual(['worker', 'api', 'db', 'undo db', 'undo net']);
});

test('when the unit files are broken by now, the youngest stops first, and it is said that nothing was undone', async () => {
  await using here = upPlace(program, units);
  await upAndKilled(here);
  writeFileSync(path.join(here.folder, 'units/db.yaml'), 'about: Broken\nrum: [db]\n');
  const { code, out } = await down(here);
  expect(code).toBe(0);
  expect(out).toMatch(/nothing will be undone .*units\/db\.yaml:2:1: unknown key "rum"/);
  expect(order(here)).toEqual(['worker', 'api', 'db']);
  expect(here.left()).toEqual([]);
});

test('--hurry kills at once; --json tells each event', async () => {
  const deaf = "trap '' TERM; echo up; exec sleep 300";
  await using here = upPlace(program, {
    deaf: `about: Heeds no signal\nrun: [sh, -c, "${deaf}"]\nready: {log: up}\nstop: {within: 60s}\n`,
  });
  await upAndKilled(here);
  const { code, out } = await down(here, '--hurry', '--json');
  expect(code).toBe(0);
  const events = out
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { event: { type: string; signal?: string } }).event);
  expect(events.map(({ type }) => type)).toEqual([
    ...['down.started', 'leftover.found', 'process.stopping', 'unit.state', 'down.finished'],
  ]);
  expect(events[2]).toMatchObject({ unit: 'deaf', signal: 'SIGKILL' });
  expect(here.left()).toEqual([]);
});

test('while another `up` begins, `down` waits until it answers', async () => {
  await using here = upPlace(program, units);
  await upAndKilled(here);
  const up = here.run(['up'], 'pipe');
  await expect.poll(() => here.isLocked(), { timeout: 10_000, interval: 1 }).toBe(true);
  const { code, out } = await down(here);
  expect(code).toBe(0);
  expect(out).toMatch(/^stopping\n/);
  expect(await up.ended).toMatchObject({ code: 0 });
  expect(here.left()).toEqual([]);
});
