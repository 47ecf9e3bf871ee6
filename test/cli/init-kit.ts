/** `up` with units of the test as PID 1 of a pid namespace, alone or below k3s-lite-init, or as any other process. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'vitest';
import { pathsOf } from '../../src/app/paths.ts';
import { bundledProgram } from '../process/bundle.ts';
import { childrenOf, initProgram, run, runAsPidOne } from '../process/pid-namespace.ts';

export type Mode = 'alone' | 'below-init' | 'plain';

export interface Programs extends Disposable {
  readonly cli: string;
  readonly init: string;
}

export async function programs(): Promise<Programs> {
  const [cli, init] = await Promise.all([bundledProgram('src/cli/main.ts'), initProgram()]);
  return { cli: cli.file, init, [Symbol.dispose]: () => cli[Symbol.dispose]() };
}

export interface UpOptions {
  readonly mode: Mode;
  /** Text of each unit file by its name; FOLDER is a folder of the test's own. */
  readonly units: Readonly<Record<string, string>>;
  readonly words?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** All that runs for it is ended with the test. */
export function startUp({ cli, init }: Programs, { mode, units, words = [], env = {} }: UpOptions) {
  const folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-init-'));
  const [dataDir, unitDir] = [path.join(folder, 'data'), path.join(folder, 'units')];
  mkdirSync(unitDir);
  for (const [name, text] of Object.entries(units)) {
    writeFileSync(path.join(unitDir, `${name}.yaml`), `about: ${name}\n${text.replaceAll('FOLDER', folder)}\n`);
  }
  const argv = [process.execPath, cli, 'up', '--data-dir', dataDir, '--units', unitDir, ...words];
  const start = mode === 'plain' ? run : runAsPidOne;
  const running = start(mode === 'below-init' ? [init, '--', ...argv] : argv, { env });
  return {
    ...running,
    said: (text: RegExp | string) => expect.poll(running.out, { timeout: 15_000 }).toMatch(text),
    /** Everything has become ready so many times. */
    async isReady(times = 1) {
      await expect.poll(() => running.out().match(/everything is ready/g)?.length, { timeout: 15_000 }).toBe(times);
    },
    /** Pid of k3s-lite itself, as we see it. */
    async supervisor() {
      const first = await running.pid();
      return mode === 'below-init' ? (childrenOf(first)[0] ?? 0) : first;
    },
    async [Symbol.asyncDispose]() {
      // In a namespace all goes with its first process; here the units would stay.
      if (mode === 'plain') await running.signal('SIGINT').catch(() => undefined);
      if (mode === 'plain') await running.ended;
      await running[Symbol.asyncDispose]();
      const { runDir } = pathsOf({ dataDir, env: process.env, uid: process.getuid?.() ?? 0 });
      for (const each of [runDir, folder]) rmSync(each, { recursive: true, force: true });
    },
  };
}
