/**
 * Makes dist/: the library as modules with shared chunks, the command line as scripts with V8's code
 * cache (compiling is a third of what comes before the first unit starts, and Node.js 20 has no cache of
 * its own), and the type declarations. `--no-types` leaves those out.
 *
 * cli.cjs is the whole command line, up.cjs the part of it that a start needs: what is not there is
 * neither read nor compiled before the first unit (bin/k3s-lite.js chooses).
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
    entryPoints: { index: 'src/index.ts' },
    outdir: draft,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    define: { K3S_LITE_VERSION: JSON.stringify(version) },
    // Native addons: they find their binaries beside themselves.
    external: ['node-unix-socket', 'koffi'],
    // CommonJS dependencies call require() for Node's own modules.
    banner: { js: "import{createRequire as __cr}from'node:module';const require=__cr(import.meta.url);" },
    chunkNames: 'chunks/[name]-[hash]',
    minifySyntax: true,
    minifyWhitespace: true,
    sourcemap: false,
    legalComments: 'none',
    logLevel: 'warning',
  });

/** Rarely needed and large, or natives: required from node_modules when they are. */
const apart = [
  'node-unix-socket',
  'koffi',
  '@viz-js/viz',
  '@peculiar/x509',
  'reflect-metadata',
  'log-update',
  'tar-stream',
];

const scriptUrl = "const scriptUrl=require('node:url').pathToFileURL(__filename).href;";

/** Commander can run a subcommand as a program, for which it loads what takes 5 ms. We have none. */
const commanderAlone = {
  name: 'commander-alone',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:child_process$/ }, ({ importer }) =>
      importer.includes('/node_modules/commander/') ? { path: 'child_process', namespace: 'none' } : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'none' }, () => ({ contents: 'module.exports = {};' }));
  },
};

/** Leaves out the commands that are somebody else's to run: their rows are there, their code is not. */
const commandsAlone = (...names) => ({
  name: 'commands-alone',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/commands\// }, ({ path }) =>
      names.includes(path.slice('./commands/'.length, -'.ts'.length)) ? undefined : { path, external: true },
    );
  },
});

const script = {
  outdir: draft,
  outExtension: { '.js': '.cjs' },
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20.19',
  define: { K3S_LITE_VERSION: JSON.stringify(version), 'import.meta.url': 'scriptUrl' },
  banner: { js: scriptUrl },
  external: apart,
  plugins: [commanderAlone],
  // V8 forgets who asks when a script comes from its cache: import() becomes require(), also of modules.
  supported: { 'dynamic-import': false },
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  logLevel: 'warning',
};

/** As bin/load-script.js runs it: put around it there, the whole text would be copied. */
const command = {
  ...script,
  banner: { js: `(function(exports,require,module,__filename,__dirname){${scriptUrl}` },
  footer: { js: '})' },
};

const bundleScripts = () =>
  Promise.all([
    build({ ...command, entryPoints: { cli: 'src/cli/main.ts' } }),
    build({
      ...command,
      entryPoints: { up: 'src/cli/main.ts' },
      plugins: [commanderAlone, commandsAlone('up', 'agent')],
    }),
    // What runs in a thread beside it (app/vip-lease-thread.ts).
    build({ ...script, entryPoints: { 'vip-lease-thread': 'src/app/vip-lease-thread-main.ts' } }),
  ]);

/** The command line's scripts, which bin/load-script.js reads as Latin-1. esbuild leaves some letters as they are (`/é/`). */
const commandScripts = ['cli.cjs', 'up.cjs'];

async function checkLetters(folder) {
  for (const name of commandScripts) {
    const [letter] = /[^\0-\x7f]/u.exec(await readFile(`${folder}/${name}`, 'utf8')) ?? [];
    if (letter !== undefined)
      throw new Error(`${name} has a letter that is not ASCII, ${letter}: escape it in its source`);
  }
}

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

/** Made by a process that has run a small `up`: the functions of a start are compiled then. */
const makeCodeCache = (file) =>
  new Promise((resolve, reject) => {
    const maker = spawn(process.execPath, ['scripts/code-cache.mjs', file], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    maker.once('error', reject);
    maker.once('exit', (code) => (code === 0 ? resolve() : reject(new Error('the code cache could not be made'))));
  });

try {
  await mkdir(draft, { recursive: true });
  await Promise.all([bundle(), bundleScripts(), ...(withTypes ? [declare()] : [])]);
  if (!withTypes) await cp('dist/types', `${draft}/types`, { recursive: true }).catch(() => undefined);
  await checkLetters(draft);
  const old = `${draft}-old`;
  await rename('dist', old).catch(() => undefined);
  await rename(draft, 'dist');
  await rm(old, { recursive: true, force: true });
  await Promise.all(commandScripts.map((name) => makeCodeCache(`dist/${name}`)));
} catch (error) {
  // esbuild and tsc have said what is wrong.
  if (!/Build failed|do not compile/.test(String(error))) console.error(error);
  process.exitCode = 1;
} finally {
  await rm(draft, { recursive: true, force: true });
}
