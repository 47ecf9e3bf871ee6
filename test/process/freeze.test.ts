/** Real processes that are frozen and go on. */
import { spawn, type ChildProcess } from 'node:child_process';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../src/kernel/clock.ts';
import { freeze } from '../../src/process/freeze.ts';
import { systemProc } from '../../src/process/proc-reader.ts';

function child(): ChildProcess & { readonly pid: number } {
  const started = spawn('sleep', ['60'], { stdio: 'ignore', detached: true });
  onTestFinished(() => void started.kill('SIGKILL'));
  return started as ChildProcess & { readonly pid: number };
}
const stateOf = (pid: number) => systemProc.stat(pid)?.state;
const patience = { timeout: 5_000, interval: 10 };

test('processes hang for a while, and then go on', async () => {
  const children = [child(), child()];
  const frozen = freeze({
    pids: children.map(({ pid }) => pid),
    forMs: 500,
    clock: systemClock,
    signal: new AbortController().signal,
  });
  for (const { pid } of children) await expect.poll(() => stateOf(pid), patience).toBe('T');
  expect(await frozen).toBe(2);
  for (const { pid } of children) await expect.poll(() => stateOf(pid), patience).toBe('S');
});

test('told to end, it lets them go on first', async () => {
  const { pid } = child();
  const end = new AbortController();
  const frozen = freeze({ pids: [pid], forMs: 60_000, clock: systemClock, signal: end.signal });
  await expect.poll(() => stateOf(pid), patience).toBe('T');
  end.abort(new Error('enough'));
  await expect(frozen).rejects.toThrow('enough');
  await expect.poll(() => stateOf(pid), patience).toBe('S');
});

test('one that is not there is passed over', async () => {
  const gone = child();
  gone.kill('SIGKILL');
  await expect.poll(() => stateOf(gone.pid) ?? 'gone', patience).toMatch(/^(?:Z|gone)$/);
  await expect.poll(() => stateOf(gone.pid), patience).toBeUndefined();
  const { signal } = new AbortController();
  expect(await freeze({ pids: [gone.pid], forMs: 1, clock: systemClock, signal })).toBe(0);
});
