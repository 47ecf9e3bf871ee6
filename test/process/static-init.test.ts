/** k3s-lite-init with small programs: exit codes, signals, restarts, what it ends. As PID 1 of a pid namespace. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isRunning } from './scratch.ts';
import { canUnshare, initProgram, run, runAsPidOne, type Running } from './pid-namespace.ts';

let init: string;
let folder: string;
beforeAll(async () => {
  init = await initProgram();
  folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-init-'));
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const shell = (flags: readonly string[], script: string) => runAsPidOne([init, ...flags, '--', 'sh', '-c', script]);
const told = (program: Running) => program.out().split('\n').filter(Boolean);
const seen = (program: Running, line: string) => expect.poll(() => told(program), { timeout: 10_000 }).toContain(line);

/** Says each signal that it gets, and lives until TERM or QUIT. */
const listener = (names: string) =>
  `for s in ${names}; do trap "echo $s" $s; done; trap "echo TERM; exit 3" TERM; trap "echo QUIT; exit 4" QUIT
  echo up; while :; do sleep 0.02; done`;

describe.skipIf(!canUnshare)('k3s-lite-init as PID 1 (needs root or user namespaces)', () => {
  test.each([
    ['exit 0', 0],
    ['exit 7', 7],
    ['kill -KILL $$', 137],
    ['kill -SEGV $$', 139],
  ])('[C5] ends with what its program ends with: %s', async (script, code) => {
    await using program = shell(['--restarts', '0'], script);
    expect(await program.ended).toMatchObject({ code });
  });

  test('[C5] says why it cannot run its program, with the codes of a shell', async () => {
    await using missing = runAsPidOne([init, '--', 'no-such-program']);
    expect(await missing.ended).toMatchObject({ code: 127 });
    expect(missing.err()).toContain('cannot run no-such-program: executable file not found');
    await using refused = runAsPidOne([init, '--', '/etc/passwd']);
    expect(await refused.ended).toMatchObject({ code: 126 });
    await using nothing = runAsPidOne([init]);
    expect(await nothing.ended).toMatchObject({ code: 2 });
    await using wrong = runAsPidOne([init, '--rewrite', 'SIGFOO:TERM', '--', 'true']);
    expect(await wrong.ended).toMatchObject({ code: 2 });
    expect(wrong.err()).toContain('SIGTERM:SIGQUIT');
  });

  test('[C5] passes on what the program catches, halts it at SIGRTMIN+3 and drops SIGUSR1', async () => {
    await using program = shell([], listener('HUP USR1 USR2 WINCH INT'));
    await seen(program, 'up');
    await program.signal('SIGUSR1');
    for (const name of ['HUP', 'USR2', 'WINCH', 'INT'] as const) {
      await program.signal(`SIG${name}`);
      await seen(program, name);
    }
    await program.signal(34 + 3);
    expect(await program.ended).toMatchObject({ code: 3 });
    expect(told(program)).toEqual(['up', 'HUP', 'USR2', 'WINCH', 'INT', 'TERM']);
  });

  test('[C5] passes signals on as others by the table that it is given', async () => {
    const flags = ['--rewrite', 'USR1:USR2', '--rewrite', '1:0', '--rewrite', 'SIGRTMIN+4:SIGQUIT'];
    await using program = shell(flags, listener('HUP USR1 USR2'));
    await seen(program, 'up');
    await program.signal('SIGHUP');
    await program.signal('SIGUSR1');
    await seen(program, 'USR2');
    await program.signal(34 + 4);
    expect(await program.ended).toMatchObject({ code: 4 });
    expect(told(program)).toEqual(['up', 'USR2', 'QUIT']);
  });

  test('[C5] a signal that the program does not catch ends it only if it asks it to stop', async () => {
    await using program = shell([], 'echo up; while :; do sleep 0.02; done');
    await seen(program, 'up');
    for (const name of ['SIGHUP', 'SIGUSR2', 'SIGALRM', 'SIGPIPE', 36] as const) await program.signal(name);
    await program.signal('SIGTERM');
    expect(await program.ended).toMatchObject({ code: 143 });
    expect(program.err()).toBe('');
  });

  test('[C5] starts a program again that a signal ended, and gives up when that happens too often', async () => {
    const file = path.join(folder, 'runs');
    const script = `echo $$ >> ${file}; [ $(wc -l < ${file}) -gt 2 ] && exit 5; kill -KILL $$`;
    await using mended = shell([], script);
    expect(await mended.ended).toMatchObject({ code: 5 });
    expect(new Set(readFileSync(file, 'utf8').trim().split('\n')).size).toBe(3);
    expect(mended.err()).toMatch(/signal 9 \(killed\); starting it again in 100ms \(1 of 5 within 1m0s\)/);
    await using lost = shell(['--restarts', '2'], 'echo run; kill -KILL $$');
    expect(await lost.ended).toMatchObject({ code: 137 });
    expect(told(lost)).toEqual(['run', 'run', 'run']);
    expect(lost.err()).toContain('not started again: 2 times within 1m0s are enough');
  });

  test('[C5] heeds a stop while it waits to start its program again', async () => {
    await using program = shell(['--restarts', '50'], 'echo run; kill -KILL $$');
    await expect.poll(() => program.err(), { timeout: 10_000 }).toContain('starting it again in 800ms');
    await program.signal('SIGINT');
    expect(await program.ended).toMatchObject({ code: 130 });
  });

  test('[C5] ends what the program left before it ends: SIGTERM, a grace, SIGKILL', async () => {
    const file = path.join(folder, 'left');
    const polite = `trap 'echo told >> ${file}; exit' TERM; echo >> ${file}; while :; do sleep 0.02; done`;
    const deaf = `trap '' TERM; echo >> ${file}; while :; do sleep 0.02; done`;
    const script = `setsid sh -c "${polite}" & setsid sh -c "${deaf}" & until [ $(wc -l < ${file}) = 2 ]; do sleep 0.02; done; exit 9`;
    const beganMs = performance.now();
    await using program = shell(['--grace', '400ms'], `touch ${file}; ${script}`);
    expect(await program.ended).toMatchObject({ code: 9 });
    expect(performance.now() - beganMs).toBeGreaterThan(400);
    expect(readFileSync(file, 'utf8').trim()).toBe('told');
  });

  test('[C5] a second stop cuts the grace short', async () => {
    const deaf = `trap '' TERM; echo up; while :; do sleep 0.02; done`;
    await using program = shell(['--grace', '1h'], `setsid sh -c "${deaf}" & sleep 0.3; exit 9`);
    await seen(program, 'up');
    const [pid, ended] = [await program.pid(), program.ended];
    let code: number | null | undefined;
    void ended.then((end) => (code = end.code));
    // The first stops the program, or comes when it has ended by itself: the second is what counts.
    const stopAgain = () => {
      if (code === undefined) process.kill(pid, 'SIGTERM');
      return code;
    };
    await expect.poll(stopAgain, { timeout: 10_000 }).toBeGreaterThan(0);
  });
});

test('[C5] as any other process it is the init of its descendants: it reaps and ends their orphans alone', async () => {
  const file = path.join(folder, 'orphan');
  const script = `(setsid sh -c 'echo $$ > ${file}; exec sleep 300' &); until [ -s ${file} ]; do sleep 0.02; done; exit 6`;
  await using program = run([init, '--', 'sh', '-c', script]);
  expect(await program.ended).toMatchObject({ code: 6 });
  expect(isRunning(Number(readFileSync(file, 'utf8')))).toBe(false);
});

test('[C5] gives its terminal to the program, which gets Ctrl-C from it once', async () => {
  const listening = `trap 'echo int' INT; trap 'exit 8' QUIT; echo up; while :; do sleep 0.02; done`;
  await using terminal = run(['script', '-qec', `exec ${init} -- sh -c "${listening}"`, '/dev/null']);
  await expect.poll(() => terminal.out(), { timeout: 10_000 }).toContain('up');
  terminal.type('\u0003');
  await expect.poll(() => terminal.out(), { timeout: 10_000 }).toContain('int');
  // Ctrl-\: by then a second SIGINT would have been told.
  terminal.type('\u001C');
  expect(await terminal.ended).toMatchObject({ code: 8 });
  expect(terminal.out().match(/int/g)).toHaveLength(1);
});
