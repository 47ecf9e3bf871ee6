/** Makes a program of a TypeScript fixture, so that a test can start it as a process of its own and kill it. */
import { existsSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

export const fixture = (name: string) => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));

/** @returns path of the bundle in `folder`, which gets a node_modules for what is required when it runs */
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
