/**
 * What goes wrong around a running k3s-lite and must disturb none of its units: a full disk, a clock
 * that jumps, cgroups that cannot be written, a control socket that a crash left. Real processes.
 */
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import type { EventLine, WireSnapshot } from '../../src/control/protocol.ts';
import { smallDisk } from '../kit/small-disk.ts';
import type { Program } from '../process/bundle.ts';
import { buildProgram, unitsOf, upPlace, type UpPlace } from './up-place.ts';

let program: Program;
beforeAll(async () => {
  program = await buildProgram();
});
afterAll(() => program[Symbol.dispose]());

const isRoot = process.getuid?.() === 0;
const patience = { timeout: 10_000, interval: 50 };
const sleeper = 'about: Sleeps\nrun: [sleep, "300"]\n';
const talker = 'about: Talks\nrun: [sh, -c, "while :; do echo talk; sleep 0.05; done"]\n';

const unitOf = async ({ client }: UpPlace, unit: string): Promise<WireSnapshot> => (await client.unit(unit)).unit;

/** What makes a unit the same as before: its process and how often it was restarted. */
async function livesOf({ client }: UpPlace, ...units: readonly string[]) {
  const { units: all } = await client.status();
  return Object.fromEntries(
    all
      .filter(({ unit }) => units.includes(unit))
      .map(({ unit, state, pid, generation, restarts }) => [unit, { state, pid, generation, restarts }]),
  );
}

async function kill(here: UpPlace, unit: string): Promise<void> {
  const { pid, generation } = await unitOf(here, unit);
  if (pid === undefined) throw new Error(`${unit} does not run`);
  process.kill(pid, 'SIGKILL');
  await expect
    .poll(async () => unitOf(here, unit), patience)
    .toMatchObject({ state: 'ready', generation: generation + 1 });
}

async function eventsOf({ client }: UpPlace) {
  const events: Exclude<EventLine, { dropped: number }>[] = [];
  for await (const line of await client.events({ since: 0, follow: false })) if ('seq' in line) events.push(line);
  return events;
}

const noticesOf = async (here: UpPlace) =>
  (await eventsOf(here)).flatMap(({ event }) => (event.type === 'notice' ? [String(event['text'])] : []));

test.skipIf(!isRoot)(
  '[C5] a full disk: units run on, one is restarted, a new one says why not; logs resume',
  async () => {
    await using here = upPlace(program, { sleeper, talker, mortal: sleeper });
    here.writeUnits({
      gate: `about: Opens when told\nrun: [sleep, "300"]\nready: {file: "${here.folder}/go"}\n`,
      // Its log does not exist yet.
      late: `${sleeper}needs: [{hard: gate}]\nrestart: {backoff: {first: 100ms, max: 200ms}}\n`,
    });
    using disk = smallDisk(here.dataDir, 2);
    here.run(['up']);
    await expect.poll(async () => unitOf(here, 'mortal').catch(() => ({})), patience).toMatchObject({ state: 'ready' });
    const ownLog = path.join(here.dataDir, 'k3s-lite.log');
    await expect.poll(() => existsSync(ownLog), patience).toBe(true);
    const before = await livesOf(here, 'sleeper', 'talker');

    disk.fill();
    await kill(here, 'mortal');
    writeFileSync(path.join(here.folder, 'go'), '');
    await expect
      .poll(async () => unitOf(here, 'late'), patience)
      .toMatchObject({
        state: 'failed',
        lastError: { code: 'ERR_SPAWN', message: expect.stringContaining('no space left on device') as string },
      });
    await expect
      .poll(async () => noticesOf(here), patience)
      .toContainEqual(expect.stringMatching(/^cannot write the log/));

    disk.free();
    await expect.poll(async () => unitOf(here, 'late'), patience).toMatchObject({ state: 'ready' });
    expect(await livesOf(here, 'sleeper', 'talker')).toEqual(before);
    const talkerLog = path.join(here.dataDir, 'logs/talker.log');
    const { size } = statSync(talkerLog);
    await expect.poll(() => statSync(talkerLog).size, patience).toBeGreaterThan(size);
    await kill(here, 'mortal');
    const { generation } = await unitOf(here, 'mortal');
    const own = () => readFileSync(ownLog, 'utf8');
    const again = `"type":"process.spawned","unit":"mortal","generation":${String(generation)},`;
    await expect.poll(own, patience).toContain(again);
    // Each line of before, meanwhile and after, once.
    const seqs = own()
      .trimEnd()
      .split('\n')
      .map((line) => z.object({ seq: z.number() }).parse(JSON.parse(line)).seq);
    expect(new Set(seqs).size).toBe(seqs.length);
    expect(own()).toContain('cannot write the log');
    expect((await noticesOf(here)).filter((text) => text.startsWith('cannot write the log'))).toHaveLength(1);
  },
);

test('[C5] a wall clock that jumps by hours: nothing restarts, and no timer fires early or late', async () => {
  const retryMs = 300;
  await using here = upPlace(program, {
    sleeper: `${sleeper}ready: {exec: ["true"]}\nhealth: {exec: ["true"], every: 100ms, onFailure: restart}\n`,
    talker,
    flaky: `about: Exits at once\nrun: ["false"]\nready: {log: never}\nrestart: {backoff: {first: ${retryMs}ms, factor: 1, max: ${retryMs}ms, jitter: 0}}\n`,
  });
  // The wall clock of k3s-lite is the machine's and what this file says; the monotonic one is the machine's.
  const offset = path.join(here.folder, 'offset');
  const clock = path.join(here.folder, 'clock.cjs');
  writeFileSync(offset, '0');
  writeFileSync(
    clock,
    `const { readFileSync } = require('node:fs');
     const RealDate = Date;
     const now = () => RealDate.now() + Number(readFileSync(${JSON.stringify(offset)}, 'utf8'));
     globalThis.Date = class extends RealDate {
       constructor(...words) { super(...(words.length === 0 ? [now()] : words)); }
       static now() { return now(); }
     };`,
  );
  here.run(['up'], 'ignore', { env: { NODE_OPTIONS: `--require ${clock}` } });
  const attempts = async () =>
    (await eventsOf(here)).filter(({ event }) => event.type === 'process.spawned' && event['unit'] === 'flaky');
  await expect.poll(async () => (await attempts().catch(() => [])).length, patience).toBeGreaterThan(1);
  const before = await livesOf(here, 'sleeper', 'talker');

  const hourMs = 3_600_000;
  for (const jumpMs of [5 * hourMs, -7 * hourMs, 0]) {
    const { length } = await attempts();
    writeFileSync(offset, String(jumpMs));
    await expect.poll(async () => (await attempts()).length, patience).toBeGreaterThan(length + 1);
    expect(await livesOf(here, 'sleeper', 'talker')).toEqual(before);
    const { tree } = await here.client.why('sleeper');
    expect(tree.forMs).toBeGreaterThan(0);
    expect(tree.forMs).toBeLessThan(60_000);
  }

  const events = await eventsOf(here);
  const [wall, monotonic] = [events.map(({ wallMs }) => wallMs), events.map(({ monotonicMs }) => monotonicMs)];
  const steps = (times: readonly number[]) => times.slice(1).map((time, index) => time - (times[index] ?? 0));
  // It was seen, in both directions…
  expect(Math.max(...steps(wall))).toBeGreaterThan(4 * hourMs);
  expect(Math.min(...steps(wall))).toBeLessThan(-4 * hourMs);
  // …and reckoned with by nobody.
  expect(Math.min(...steps(monotonic))).toBeGreaterThanOrEqual(0);
  const waits = steps((await attempts()).map(({ monotonicMs }) => monotonicMs));
  for (const waitMs of waits) {
    expect(waitMs).toBeGreaterThanOrEqual(retryMs);
    expect(waitMs).toBeLessThan(retryMs + 5000);
  }
});

test.skipIf(!isRoot)(
  '[C5] cgroups that cannot be written: said once; group and marker find every process',
  async () => {
    // Its child leaves the group: the marker alone leads to it.
    const parent =
      'about: Leaves a child\nrun: [sh, -c, "setsid sleep 301 & echo up; exec sleep 300"]\nready: {log: up}\n';
    await using here = upPlace(program, { sleeper, parent });
    const lockTrees = `for tree in $(awk '$9 ~ /^cgroup2?$/ || $8 ~ /^cgroup2?$/ || $10 ~ /^cgroup2?$/ {print $5}' /proc/self/mountinfo); do mount -o remount,bind,ro "$tree"; done; exec "$@"`;
    const before = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', lockTrees, 'sh'];
    const { child, ended } = here.run(['up'], 'ignore', { before });
    await expect.poll(here.isReady, patience).toBe(true);
    const lives = await livesOf(here, 'sleeper');
    await kill(here, 'parent');
    expect(await livesOf(here, 'sleeper')).toEqual(lives);
    const instance = path.basename(here.paths.runDir);
    // The first parent's child went with it: two of the second parent's, and the sleeper.
    expect(unitsOf(instance)).toHaveLength(3);
    expect((await noticesOf(here)).filter((text) => text.includes('cgroup'))).toEqual([
      expect.stringMatching(/^no cgroup per unit: .* is not writable \(EROFS\); units are ended by process group/),
    ]);
    child.kill('SIGTERM');
    expect(await ended).toMatchObject({ code: 0 });
    expect(unitsOf(instance)).toEqual([]);
  },
);

test('[C5] a control socket that a crash left is replaced; that of a living k3s-lite is not', async () => {
  await using here = upPlace(program, { sleeper, talker });
  const first = here.run(['up']);
  await expect.poll(here.isReady, patience).toBe(true);
  const lives = await livesOf(here, 'sleeper', 'talker');

  const second = here.run(['up']);
  const { code, err } = await second.ended;
  expect(code).not.toBe(0);
  expect(err).toContain(`is held by another k3s-lite: pid ${String(first.child.pid)}`);
  expect((await here.client.status()).instance.pid).toBe(first.child.pid);
  expect(await livesOf(here, 'sleeper', 'talker')).toEqual(lives);

  first.child.kill('SIGKILL');
  await first.ended;
  expect(existsSync(here.paths.controlSocket)).toBe(true);
  const third = here.run(['up']);
  await expect.poll(here.isReady, patience).toBe(true);
  expect((await here.client.status()).instance.pid).toBe(third.child.pid);
  expect(await livesOf(here, 'sleeper', 'talker')).toEqual(lives);
  expect(statSync(here.paths.controlSocket).mode & 0o777).toBe(0o600);
});

test('[C5] a reader of its output that goes away ends nothing', async () => {
  await using here = upPlace(program, { sleeper });
  const up = here.run(['up', '--json'], 'pipe');
  await expect.poll(here.isReady, patience).toBe(true);
  up.child.stdout?.destroy();
  // Each writes events; the pipe is known to be closed at the second one at the latest.
  await kill(here, 'sleeper');
  await kill(here, 'sleeper');
  expect((await here.client.status()).instance.pid).toBe(up.child.pid);
});
