import { getEventListeners } from 'node:events';
import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { runProgram } from '../../src/process/run-program.ts';

test('a program gives its exit code and both streams', async () => {
  const outcome = await runProgram({ argv: ['sh', '-c', 'echo out; echo err >&2; exit 3'] });
  expect(outcome).toEqual({ exit: { kind: 'code', code: 3 }, stdout: 'out\n', stderr: 'err\n' });
});

test('lines are told as they come, the last one also without its newline', async () => {
  const lines: string[] = [];
  await runProgram({
    argv: ['sh', '-c', 'printf "one\\ntw"; echo o >&2; printf "o\\nthree"'],
    onLine: (line, stream) => void lines.push(`${stream} ${line}`),
  });
  expect(lines.filter((line) => line.startsWith('stdout'))).toEqual(['stdout one', 'stdout two', 'stdout three']);
  expect(lines).toContain('stderr o');
});

test('a program that ends by a signal says which', async () => {
  const { exit } = await runProgram({ argv: ['sh', '-c', 'kill -9 $$'] });
  expect(exit).toEqual({ kind: 'signal', signal: 'SIGKILL' });
});

test('a missing program is an error with the name of its errno', async () => {
  await expect(runProgram({ argv: ['/nonexistent/program'] })).rejects.toMatchObject({ code: 'ENOENT' });
});

test('only the given environment is passed on', async () => {
  const { stdout } = await runProgram({ argv: ['/usr/bin/env'], env: { ONLY: 'this', GONE: undefined } });
  expect(stdout).toBe('ONLY=this\n');
});

test('an abort ends the program and what it started, also if they ignore SIGTERM', async () => {
  const controller = new AbortController();
  const reason = new Error('enough');
  let child = 0;
  const running = runProgram({
    argv: ['sh', '-c', 'trap "" TERM; sleep 600 & echo $!; wait; wait'],
    signal: controller.signal,
    onLine: (line) => {
      child = Number(line);
      controller.abort(reason);
    },
  });
  await expect(running).rejects.toBe(reason);
  expect(child).toBeGreaterThan(0);
  await expect.poll(() => existsSync(`/proc/${String(child)}/exe`)).toBe(false);
  expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
});

test('an aborted signal starts nothing', async () => {
  const reason = new Error('too late');
  await expect(runProgram({ argv: ['/nonexistent/program'], signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
});
