/** `up` as a process of its own on a data directory of its own, with small units. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import { expect } from 'vitest';
import { pathsOf } from '../../src/app/paths.ts';
import { controlClient } from '../../src/control/client.ts';
import { systemProc } from '../../src/process/proc-reader.ts';
import { markerVariable } from '../../src/process/run-marker.ts';

export const repository = path.resolve(import.meta.dirname, '../..');

export interface Program extends Disposable {
  readonly file: string;
}

export interface Around {
  readonly before?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * The command line as one file, within the repository, so that its packages and unit files are found.
 *
 * @param version - what it says that it is
 */
export async function buildProgram(version?: string): Promise<Program> {
  mkdirSync(path.join(repository, '.cache'), { recursive: true });
  const folder = mkdtempSync(path.join(repository, '.cache/up-process-'));
  const file = path.join(folder, 'main.mjs');
  await build({
    entryPoints: [path.join(repository, 'src/cli/main.ts')],
    outfile: file,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    ...(version === undefined ? {} : { define: { K3S_LITE_VERSION: JSON.stringify(version) } }),
    logLevel: 'silent',
  });
  return { file, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}

/** A data directory with unit files; whatever runs for it is ended with the test. */
export function upPlace({ file: program }: Program, units: Readonly<Record<string, string>>) {
  const folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-up-'));
  const unitDir = path.join(folder, 'units');
  mkdirSync(unitDir);
  const writeUnits = (texts: Readonly<Record<string, string>>) => {
    for (const [name, text] of Object.entries(texts)) writeFileSync(path.join(unitDir, `${name}.yaml`), text);
  };
  writeUnits(units);
  const dataDir = path.join(folder, 'data');
  const paths = pathsOf({ dataDir, env: process.env, uid: process.getuid?.() ?? 0 });
  const client = controlClient({ socketPath: paths.controlSocket, dataDir });
  const children: ChildProcess[] = [];
  return {
    folder,
    dataDir,
    unitDir,
    paths,
    client,
    writeUnits,
    /** @param around - `before`: a command that becomes this one, as `nice` does */
    run(words: readonly string[], out: number | 'ignore' | 'pipe' = 'ignore', around?: Around) {
      const argv = [...(around?.before ?? []), process.execPath, program, ...words];
      const [file, ...args] = [...argv, '--data-dir', dataDir, '--units', unitDir];
      const child = spawn(file, args, {
        stdio: ['ignore', out, 'pipe'],
        // Where continuous integration runs, colours are on by themselves.
        env: { ...process.env, NO_COLOR: '1', ...around?.env },
      });
      let err = '';
      child.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString()));
      let told = '';
      child.stdout?.on('data', (chunk: Buffer) => (told += chunk.toString()));
      children.push(child);
      const ended = once(child, 'close').then(([code, signal]: unknown[]) => ({ code, signal, err }));
      return { child, ended, out: () => told };
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

export type UpPlace = ReturnType<typeof upPlace>;

/** Processes that carry the marker of a data directory. */
export function unitsOf(instance: string): readonly number[] {
  return systemProc.pids().filter((pid) => systemProc.environ(pid, markerVariable)?.startsWith(`${instance}/`));
}
