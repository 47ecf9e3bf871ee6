/** `up` as a process of its own, with unit files of the test; whatever runs for it is ended with the test. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import { expect } from 'vitest';
import { pathsOf } from '../../src/app/paths.ts';
import { controlClient } from '../../src/control/client.ts';
import { lockHolder } from '../../src/process/lock.ts';
import { systemProc } from '../../src/process/proc-reader.ts';
import { markerVariable } from '../../src/process/run-marker.ts';

const repository = path.resolve(import.meta.dirname, '../..');

/** The command line in one file. Within the repository, so that its packages and unit files are found. */
export async function bundledCommand(): Promise<Disposable & { readonly program: string }> {
  mkdirSync(path.join(repository, '.cache'), { recursive: true });
  const folder = mkdtempSync(path.join(repository, '.cache/up-process-'));
  const program = path.join(folder, 'main.mjs');
  await build({
    entryPoints: [path.join(repository, 'src/cli/main.ts')],
    outfile: program,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'silent',
  });
  return { program, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}

/** A data directory with unit files. */
export function place(program: string, units: Readonly<Record<string, string>>) {
  const folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-up-'));
  const unitDir = path.join(folder, 'units');
  mkdirSync(unitDir);
  for (const [name, text] of Object.entries(units)) writeFileSync(path.join(unitDir, `${name}.yaml`), text);
  const dataDir = path.join(folder, 'data');
  const paths = pathsOf({ dataDir, env: process.env, uid: process.getuid?.() ?? 0 });
  const client = controlClient({ socketPath: paths.controlSocket, dataDir });
  const children: ChildProcess[] = [];
  return {
    folder,
    dataDir,
    runDir: paths.runDir,
    client,
    /** Processes of its units that are alive. */
    left: () => unitsOf(path.basename(paths.runDir)),
    isLocked: () => lockHolder(dataDir) !== undefined,
    /** `up` with --units; other commands without. Standard output goes to `out`, or is kept. */
    run(words: readonly string[], out: number | 'ignore' | 'pipe' = 'ignore', env: NodeJS.ProcessEnv = {}) {
      const unitWords = words[0] === 'up' ? ['--units', unitDir] : [];
      const child = spawn(process.execPath, [program, ...words, '--data-dir', dataDir, ...unitWords], {
        stdio: ['ignore', out, 'pipe'],
        env: { ...process.env, NO_COLOR: '1', ...env },
      });
      let err = '';
      let text = '';
      child.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString()));
      child.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()));
      children.push(child);
      const ended = once(child, 'close').then(([code, signal]: unknown[]) => ({ code, signal, err }));
      return { child, ended, out: () => text };
    },
    isReady: () =>
      client.status().then(
        ({ ready }) => ready,
        () => false,
      ),
    async [Symbol.asyncDispose]() {
      const { pid } = await client.down({ hurry: true }).catch(() => ({ pid: 0 }));
      await expect.poll(() => pid === 0 || systemProc.stat(pid) === undefined, { timeout: 10_000 }).toBe(true);
      for (const child of children) child.kill('SIGKILL');
      for (const left of unitsOf(path.basename(paths.runDir))) process.kill(left, 'SIGKILL');
      rmSync(folder, { recursive: true, force: true });
      rmSync(paths.runDir, { recursive: true, force: true });
    },
  };
}

/** Processes that carry the marker of a data directory. */
function unitsOf(instance: string): readonly number[] {
  return systemProc.pids().filter((pid) => systemProc.environ(pid, markerVariable)?.startsWith(`${instance}/`));
}
