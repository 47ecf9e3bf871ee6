/** Runs one supervisor on a graph of stamping units, from spawn to verified end, seen from outside. */
import { spawn } from 'node:child_process';
import { existsSync, openSync, closeSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readStamps } from './graphs.mjs';
import { atEnd, msBetween, now } from './place.mjs';

/**
 * @param {object} options
 * @param {string[]} options.argv @param {string} options.folder where stamps and output go
 * @param {Record<string, string>} [options.env] besides the bare environment
 * @param {number} options.expected how many stamps of `what` end the start
 * @param {'start' | 'ready'} [options.what]
 * @param {boolean} [options.isSupervisor] false: it knows no stop, so nothing after the start is measured
 * @param {(child: import('node:child_process').ChildProcess) => Promise<object>} [options.during] called when all have
 *   started; what it returns is in the result
 */
export async function runSupervisor({
  argv,
  env,
  folder,
  stamps,
  expected,
  what = 'start',
  timeoutMs = 60_000,
  settleMs = 300,
  isSupervisor = true,
  during,
}) {
  const t0 = now();
  const child = spawnIn(folder, argv, env);
  const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)));
  let isOver = false;
  void ended.then(() => (isOver = true));
  const killAll = atEnd(() => {
    if (!isOver) child.kill('SIGKILL');
    for (const pid of living(stamps)) process.kill(pid, 'SIGKILL');
  });
  try {
    const seen = await untilSeen();
    await sleep(settleMs);
    const result = await during?.(child);
    const memory = memoryOf(child.pid);
    if (!isSupervisor) return { t0, seen, lastMs: lastOf(seen) };
    const stopFrom = now();
    child.kill('SIGTERM');
    const exit = await Promise.race([ended, sleep(60_000, 'still running', { ref: false })]);
    const stopMs = msBetween(stopFrom, now());
    return { t0, seen, lastMs: lastOf(seen), stopMs, exit, left: living(stamps).length, ...memory, ...result };
  } finally {
    killAll();
  }

  function lastOf(seen) {
    return Math.max(...[...seen.values()].map((entry) => entry[what]));
  }

  async function untilSeen() {
    for (;;) {
      const text = existsSync(stamps) ? readFileSync(stamps, 'utf8') : '';
      const seen = readStamps(text, t0);
      if ([...seen.values()].filter((entry) => entry[what] !== undefined).length >= expected) return seen;
      if (isOver || msBetween(t0, now()) > timeoutMs) {
        const output = readFileSync(path.join(folder, 'output.log'), 'utf8').split('\n').slice(-15).join('\n');
        throw new Error(
          `${argv.join(' ')}: ${seen.size} of ${expected} units ${isOver ? 'and ended' : 'in time'}:\n${output}`,
        );
      }
      // Coarse: the figures are in the stamps, and looking more often would take time from what is measured.
      await sleep(20);
    }
  }
}

/** A command with `folder` as its home and its output in a file there. */
export function spawnIn(folder, argv, more = {}) {
  const log = openSync(path.join(folder, 'output.log'), 'a');
  const bare = {
    PATH: process.env.PATH,
    HOME: folder,
    XDG_RUNTIME_DIR: folder,
    XDG_CACHE_HOME: path.join(folder, 'cache'),
  };
  const child = spawn(argv[0], argv.slice(1), {
    cwd: folder,
    env: { ...bare, ...more },
    stdio: ['ignore', log, log],
    detached: true,
  });
  closeSync(log);
  return child;
}

/** @returns {{rssMb: number, peakMb: number}} */
export function memoryOf(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const mb = (key) => Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? Number.NaN) / 1024;
  return { rssMb: mb('VmRSS'), peakMb: mb('VmHWM') };
}

/** Units of this run that are still there: those that have its stamp file among their arguments. */
export function living(stamps) {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(stamps)) return false;
        return readlinkSync(`/proc/${pid}/exe`) !== process.execPath;
      } catch {
        return false; // ended meanwhile
      }
    })
    .map(Number);
}
