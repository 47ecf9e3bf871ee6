/** Where the benchmark's things lie, and the programs of bench/native, compiled once per source. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir, totalmem } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
export const cli = path.join(root, 'bin/k3s-lite.js');
const source = path.join(root, 'bench/native');
/** Compiled programs, each in a folder named after its source. */
export const cache = path.join(root, '.cache/bench');

export class Skip extends Error {}

/** Programs made from bench/native: `stamp` in C where there is a compiler, because a Go runtime takes longer to start than what is measured. */
export function nativePrograms() {
  const files = [
    ...readdirSync(source).filter((name) => name.endsWith('.go')),
    'go.mod',
    'stamp/stamp.c',
    'stamp/wrap.c',
  ];
  const key = createHash('sha256');
  for (const file of files.sort()) key.update(readFileSync(path.join(source, file)));
  const folder = path.join(cache, key.digest('hex').slice(0, 12));
  const outside = path.join(folder, 'outside');
  if (!existsSync(outside)) {
    mkdirSync(folder, { recursive: true });
    const part = path.join(folder, `part-${process.pid}`);
    try {
      execFileSync('go', ['build', '-trimpath', '-ldflags=-s -w', '-o', part, '.'], {
        cwd: source,
        env: { ...process.env, CGO_ENABLED: '0' },
        stdio: 'inherit',
      });
    } catch (error) {
      throw new Skip(`the Go compiler is needed: ${error.message}`);
    }
    for (const name of ['stamp', 'wrap']) compile(name, folder);
    renameSync(part, outside);
  }
  const [stamp, wrap] = ['stamp', 'wrap'].map((name) => path.join(folder, name));
  return {
    outside,
    stamp: existsSync(stamp) ? [stamp] : [outside, 'stamp'],
    wrap: existsSync(wrap) ? wrap : undefined,
  };
}

function compile(name, folder) {
  const file = path.join(source, `stamp/${name}.c`);
  for (const compiler of ['cc', 'gcc', 'clang']) {
    try {
      execFileSync(compiler, ['-O2', '-static', '-o', path.join(folder, name), file], { stdio: 'pipe' });
      return;
    } catch {
      // The next one.
    }
  }
}

/**
 * Calls `undo` when disposed of, or when the benchmark itself ends before that: the last one first.
 *
 * @param {() => void} undo synchronous
 */
export function atEnd(undo) {
  const atExit = () => {
    try {
      undo();
    } catch (error) {
      console.error(error); // and go on with the others
    }
  };
  process.setMaxListeners(0).prependOnceListener('exit', atExit);
  return () => {
    process.removeListener('exit', atExit);
    undo();
  };
}

/**
 * In memory where there is such a place. What ext4 does to make a file grows with the files that were
 * deleted in the last minutes, and each run before has deleted hundreds.
 */
export const inMemory = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** A folder that is gone when `work` has ended, however it ended. */
export async function withFolder(work, below = tmpdir()) {
  const folder = mkdtempSync(path.join(below, 'k3s-lite-bench-'));
  const remove = atEnd(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  try {
    return await work(folder);
  } finally {
    remove();
  }
}

/** CLOCK_MONOTONIC in nanoseconds: the clock of bench/native. */
export const now = () => process.hrtime.bigint();

export const msBetween = (from, to) => Number(BigInt(to) - BigInt(from)) / 1e6;

export function machine() {
  const git = (...args) => {
    try {
      return execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
    } catch {
      return 'unknown';
    }
  };
  return {
    date: new Date().toISOString().slice(0, 10),
    commit:
      git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', '--', 'src', 'units') === '' ? '' : '+'),
    node: process.version,
    cores: availableParallelism(),
    cpu: cpus()[0]?.model.trim() || 'unknown',
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: execFileSync('uname', ['-r'], { encoding: 'utf8' }).trim(),
    load: loadavg()[0],
  };
}
