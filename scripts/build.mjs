/**
 * Bundles src/ into dist/: one entry for the command line and one for the library, with shared
 * chunks, so that a start reads few files and a command loads only its own code; and the type
 * declarations. `--no-types` leaves those out (they take most of the time).
 *
 * Made beside dist/ and swapped in at the end: whoever runs from dist/ meanwhile finds it whole.
 */
import { build } from 'esbuild';
import { spawn } from 'node:child_process';
import { cp, mkdir, readFile, rename, rm } from 'node:fs/promises';

const { version } = JSON.parse(await readFile('package.json', 'utf8'));
const withTypes = !process.argv.includes('--no-types');
const draft = `.cache/build-${process.pid}`;

const bundle = () =>
  build({
    entryPoints: { cli: 'src/cli/main.ts', index: 'src/index.ts' },
    outdir: draft,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    define: { K3S_LITE_VERSION: JSON.stringify(version) },
    // Native addon: it finds its binary beside itself.
    external: ['node-unix-socket'],
    // CommonJS dependencies call require() for Node's own modules.
    banner: { js: "import{createRequire as __cr}from'node:module';const require=__cr(import.meta.url);" },
    chunkNames: 'chunks/[name]-[hash]',
    minifySyntax: true,
    minifyWhitespace: true,
    sourcemap: false,
    legalComments: 'none',
    logLevel: 'warning',
  });

const declare = () =>
  new Promise((resolve, reject) => {
    const tsc = spawn(
      process.execPath,
      ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.types.json', '--outDir', `${draft}/types`],
      { stdio: 'inherit' },
    );
    tsc.once('error', reject);
    tsc.once('exit', (code) => (code === 0 ? resolve() : reject(new Error('the types do not compile'))));
  });

try {
  await mkdir(draft, { recursive: true });
  await Promise.all([bundle(), ...(withTypes ? [declare()] : [])]);
  if (!withTypes) await cp('dist/types', `${draft}/types`, { recursive: true }).catch(() => undefined);
  const old = `${draft}-old`;
  await rename('dist', old).catch(() => undefined);
  await rename(draft, 'dist');
  await rm(old, { recursive: true, force: true });
} catch (error) {
  // esbuild and tsc have said what is wrong.
  if (!/Build failed|do not compile/.test(String(error))) console.error(error);
  process.exitCode = 1;
} finally {
  await rm(draft, { recursive: true, force: true });
}
