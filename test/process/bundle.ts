/** Makes a program of a TypeScript file, so that a test can start it as a process of its own and kill it. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const repository = path.resolve(import.meta.dirname, '../..');

export interface Program extends Disposable {
  readonly file: string;
}

/**
 * @param entry - relative to the repository; so is the program, so that its packages and unit files are found
 * @param define - names that stand for something else
 */
export async function bundledProgram(entry: string, define: Readonly<Record<string, string>> = {}): Promise<Program> {
  mkdirSync(path.join(repository, '.cache'), { recursive: true });
  const folder = mkdtempSync(path.join(repository, '.cache/program-'));
  const file = path.join(folder, `${path.basename(entry, '.ts')}.mjs`);
  await build({
    entryPoints: [path.join(repository, entry)],
    outfile: file,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    define,
    logLevel: 'silent',
  });
  return { file, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}

export const fixture = (name: string) => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));

/** A fixture outside the repository. @returns path of the bundle in `folder`, which gets a node_modules for what is required when it runs */
export async function bundle(name: string, folder: string): Promise<string> {
  const modules = path.join(folder, 'node_modules');
  if (!existsSync(modules)) symlinkSync(fileURLToPath(new URL('../../node_modules', import.meta.url)), modules);
  const outfile = path.join(folder, `${path.basename(name, '.ts')}.mjs`);
  await build({
    entryPoints: [fixture(name)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'silent',
    banner: { js: "import{createRequire as __cr}from'node:module';const require=__cr(import.meta.url);" },
  });
  return outfile;
}
