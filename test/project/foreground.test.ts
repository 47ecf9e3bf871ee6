/** `npm start` as people and process managers signal it: npm, our script and the program are three processes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';

const here = import.meta.dirname;

/** A package whose start script runs counting-child.mjs the way scripts/start.mjs runs k3s-lite. */
async function npmStart() {
  const folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-npm-start-'));
  const heard = path.join(folder, 'heard');
  const run = JSON.stringify(path.join(here, '../../scripts/setup/run.mjs'));
  const child = JSON.stringify([path.join(here, 'counting-child.mjs'), heard]);
  // The real start script with its shell: without `exec` there, a signal to npm ends at the shell.
  const { scripts } = JSON.parse(readFileSync(path.join(here, '../../package.json'), 'utf8')) as {
    readonly scripts: { readonly start: string };
  };
  const start = scripts.start.replace('scripts/start.mjs', 'start.mjs');
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ scripts: { start } }));
  writeFileSync(
    path.join(folder, 'start.mjs'),
    `import { run } from ${run};\nprocess.exitCode = (await run(process.execPath, ${child})).code;\n`,
  );
  // A group of its own, as a shell gives to what it starts in the foreground.
  const npm = spawn('npm', ['start', '--silent'], { cwd: folder, detached: true, stdio: 'ignore' });
  const ended = once(npm, 'exit');
  const signals = () => (existsSync(heard) ? readFileSync(heard, 'utf8').trim().split('\n').slice(1) : []);
  await expect.poll(() => existsSync(heard), { timeout: 15_000 }).toBe(true);
  return {
    /** What Ctrl-C does: the terminal signals every process of the group. */
    toGroup: (signal: NodeJS.Signals) => process.kill(-(npm.pid ?? 0), signal),
    toNpm: (signal: NodeJS.Signals) => npm.kill(signal),
    signals,
    ended,
    [Symbol.dispose]: () => {
      if (npm.exitCode === null) process.kill(-(npm.pid ?? 0), 'SIGTERM');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Long enough for a signal that is passed on to be another one. */
const pause = async (ms: number) => {
  const start = performance.now();
  await expect.poll(() => performance.now() - start, { timeout: ms + 2000 }).toBeGreaterThan(ms);
};

test('Ctrl-C in `npm start` reaches the program exactly once, a second one once more', async () => {
  using started = await npmStart();
  started.toGroup('SIGINT');
  await expect.poll(started.signals).toEqual(['SIGINT']);
  await pause(500);
  expect(started.signals()).toEqual(['SIGINT']);
  started.toGroup('SIGINT');
  await expect.poll(started.signals).toEqual(['SIGINT', 'SIGINT']);
  started.toGroup('SIGTERM');
  await started.ended;
  expect(started.signals()).toEqual(['SIGINT', 'SIGINT', 'SIGTERM']);
});

test('SIGTERM to npm alone reaches the program, and its exit code comes back', async () => {
  using started = await npmStart();
  started.toNpm('SIGTERM');
  const [code] = (await started.ended) as [number | null];
  expect(started.signals()).toEqual(['SIGTERM']);
  expect(code).toBe(7);
});
