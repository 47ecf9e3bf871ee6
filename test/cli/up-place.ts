/** `up` as a process of its own on a data directory of its own, with small units. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'vitest';
import { pathsOf } from '../../src/app/paths.ts';
import { controlClient } from '../../src/control/client.ts';
import { lockHolder } from '../../src/process/lock.ts';
import { systemProc } from '../../src/process/proc-reader.ts';
import { markerVariable } from '../../src/process/run-marker.ts';
import { bundledProgram, type Program } from '../process/bundle.ts';

export const repository = path.resolve(import.meta.dirname, '../..');

export interface Around {
  readonly before?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

/** @param version - what it says that it is */
export const buildProgram = (version?: string): Promise<Program> =>
  bundledProgram('src/cli/main.ts', version === undefined ? {} : { K3S_LITE_VERSION: JSON.stringify(version) });

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
    /** Processes of its units that are alive. */
    left: () => unitsOf(path.basename(paths.runDir)),
    isLocked: () => lockHolder(dataDir) !== undefined,
    writeUnits,
    /**
     * `up` with --units; other commands without. Standard output goes to `out`, or is kept.
     *
     * @param around - `before`: a command that becomes this one, as `nice` does
     */
    run(words: readonly string[], out: number | 'ignore' | 'pipe' = 'ignore', around?: Around) {
      const unitWords = words[0] === 'up' ? ['--units', unitDir] : [];
      const own = [process.execPath, program, ...words, '--data-dir', dataDir, ...unitWords];
      const [file = '', ...args] = [...(around?.before ?? []), ...own];
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
