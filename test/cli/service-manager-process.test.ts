/** `up` under a service manager: a receiver of ours stands for systemd's end of NOTIFY_SOCKET. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DgramSocket } from 'node-unix-socket';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Program } from '../process/bundle.ts';
import { buildProgram, upPlace } from './up-place.ts';

let program: Program;
beforeAll(async () => {
  program = await buildProgram();
});
afterAll(() => program[Symbol.dispose]());

/** Receives what is sent to `file`; one line each. */
function receiver(file: string) {
  const socket = new DgramSocket();
  const messages: string[][] = [];
  socket.on('data', (message: Buffer) => messages.push(message.toString().split('\n')));
  socket.bind(file);
  return {
    lines: () => messages.flat(),
    [Symbol.dispose]: () => {
      socket.close();
    },
  };
}

// base ← last, which is ready when a file is there
const units = {
  base: 'about: Says what it was given\nrun: [sh, -c, "env; exec sleep 300"]\n',
  last: 'about: Ready on demand\nrun: [sleep, "300"]\nready: {file: "${dataDir}/go"}\nneeds: [{hard: base}]\n',
};

test('tells its state from the first word to the last, answers the watchdog, and units see none of it', async () => {
  await using here = upPlace(program, units);
  const socket = path.join(here.folder, 'notify');
  using manager = receiver(socket);
  const env = { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '200000' };
  const { child, ended } = here.run(['up'], 'ignore', { env });
  const said = (line: string) => expect.poll(() => manager.lines(), { timeout: 10_000 }).toContain(line);

  await said(`MAINPID=${String(child.pid)}`);
  await said('STATUS=1 of 2 ready; waiting for last');
  await said('EXTEND_TIMEOUT_USEC=120000000');
  expect(manager.lines()).not.toContain('READY=1');
  writeFileSync(path.join(here.dataDir, 'go'), '');
  await said('READY=1');
  const pings = () => manager.lines().filter((line) => line === 'WATCHDOG=1').length;
  const before = pings();
  await expect.poll(pings, { timeout: 10_000 }).toBeGreaterThan(before + 2);

  const log = readFileSync(path.join(here.dataDir, 'logs/base.log'), 'utf8');
  expect(log).toContain('K3S_LITE_RUN=');
  expect(log).not.toMatch(/NOTIFY_SOCKET|WATCHDOG/);

  child.kill('SIGTERM');
  await said('STOPPING=1');
  expect((await ended).code).toBe(0);
});

test('each SIGHUP is a reload from RELOADING=1 to READY=1, as Type=notify-reload waits for, whatever its result', async () => {
  await using here = upPlace(program, { base: units.base });
  const socket = path.join(here.folder, 'notify');
  using manager = receiver(socket);
  const { child } = here.run(['up'], 'ignore', { env: { NOTIFY_SOCKET: socket } });
  const of = (pattern: RegExp) => manager.lines().filter((line) => pattern.test(line));
  await expect.poll(() => of(/^READY=1$/), { timeout: 10_000 }).toHaveLength(1);

  /** What systemd does: it takes the time, sends the signal, and waits for a RELOADING=1 of a later time and its READY=1. */
  const reload = async (count: number) => {
    const beginUsec = process.hrtime.bigint() / 1000n;
    child.kill('SIGHUP');
    await expect.poll(() => of(/^READY=1$/), { timeout: 10_000 }).toHaveLength(count + 1);
    const times = of(/^MONOTONIC_USEC=/).map((line) => BigInt(line.slice('MONOTONIC_USEC='.length)));
    expect(of(/^RELOADING=1$/)).toHaveLength(count);
    expect(times).toHaveLength(count);
    expect(times.at(-1)).toBeGreaterThanOrEqual(beginUsec);
    expect(times.at(-1)).toBeLessThanOrEqual(process.hrtime.bigint() / 1000n);
  };
  await reload(1);
  writeFileSync(path.join(here.folder, 'units/base.yaml'), 'about: Sleeps\nrunn: [sleep, "300"]\n');
  await reload(2);
  expect(of(/^STATUS=/).at(-1)).toMatch(/^STATUS=reload refused: .*; 1 of 1 ready$/);
  writeFileSync(path.join(here.folder, 'units/base.yaml'), 'about: Sleeps\nrun: [sleep, "301"]\n');
  await reload(3);
  expect(of(/^STATUS=/).at(-1)).toBe('STATUS=1 of 1 ready');
  child.kill('SIGTERM');
});

test('a watchdog that is meant for another process is not answered', async () => {
  await using here = upPlace(program, { base: units.base });
  const socket = path.join(here.folder, 'notify');
  using manager = receiver(socket);
  const env = { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '100000', WATCHDOG_PID: '1' };
  const { child } = here.run(['up'], 'ignore', { env });
  await expect.poll(() => manager.lines(), { timeout: 10_000 }).toContain('READY=1');
  expect(manager.lines()).not.toContain('WATCHDOG=1');
  child.kill('SIGTERM');
});

test('a socket that cannot be reached is one warning, and everything starts', async () => {
  for (const socket of ['/nowhere/notify', '@abstract']) {
    await using here = upPlace(program, { base: units.base });
    const { out } = here.run(['up'], 'pipe', { env: { NOTIFY_SOCKET: socket } });
    await expect.poll(here.isReady, { timeout: 10_000 }).toBe(true);
    await expect.poll(out).toMatch(/service manager (?:cannot be told anything on \/nowhere|will hear nothing)/);
  }
});

const hasAnalyze = spawnSync('systemd-analyze', ['--version']).status === 0;

test.skipIf(!hasAnalyze)('the shipped unit of systemd is valid', () => {
  const file = path.resolve(import.meta.dirname, '../../packaging/k3s-lite.service');
  execFileSync('systemd-analyze', ['verify', file], { stdio: 'pipe' });
  const text = readFileSync(file, 'utf8');
  for (const line of ['Type=notify', 'ExecReload=/usr/bin/env k3s-lite reload', 'KillMode=process', 'Delegate=yes'])
    expect(text).toContain(`\n${line}\n`);
});
