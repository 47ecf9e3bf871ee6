/**
 * `npm run docs`: writes what is generated from the sources. `--check` only compares and exits 1 if
 * a file is not what it should be; a test runs that.
 *
 * A generator is a TypeScript module whose named export returns the text of its file. To add one,
 * add a row. Generators are bundled first, because Node does not run TypeScript.
 *
 * README.md has generated parts (readme.mjs). Its table of demands comes from the report of the last
 * whole `npm test`; so --check leaves that one alone.
 */
import { build } from 'esbuild';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { readmeText } from './readme.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

/** file: what is written. module: where its generator is. generator: the export, `() => string | Promise<string>`. */
const documents = [
  { file: 'docs/errors.md', module: 'src/error/reference.ts', generator: 'errorReference' },
  { file: 'docs/balancer-states.md', module: 'src/balancer/state-diagram.ts', generator: 'stateDiagram' },
  { file: 'docs/metrics.md', module: 'src/report/metrics/metrics-reference.ts', generator: 'metricsReference' },
  { file: 'units/unit.schema.json', module: 'src/unit/json-schema.ts', generator: 'unitJsonSchema' },
  { file: 'docs/unit-reference.md', module: 'src/app/unit-reference-page.ts', generator: 'unitReferencePage' },
];

const checkOnly = process.argv.includes('--check');
const bundles = path.join(root, '.cache/docs');
let stale = 0;
try {
  for (const { file, module, generator } of documents) {
    const outfile = path.join(bundles, `${generator}.mjs`);
    await build({
      entryPoints: [path.join(root, module)],
      outfile,
      bundle: true,
      format: 'esm',
      platform: 'node',
      packages: 'external',
      logLevel: 'warning',
    });
    const text = await (await import(pathToFileURL(outfile).href))[generator]();
    await put(file, text, `what ${module} makes`);
  }
  const readme = await readFile(path.join(root, 'README.md'), 'utf8');
  const say = (text) => process.stderr.write(`${text}\n`);
  await put('README.md', await readmeText(readme, root, { tests: !checkOnly, say }), 'up to date');
} finally {
  await rm(bundles, { recursive: true, force: true });
}
process.exitCode = checkOnly && stale > 0 ? 1 : 0;

/** Writes `file` if it is not `text` already; with --check only says so. */
async function put(file, text, wanted) {
  const target = path.join(root, file);
  if ((await readFile(target, 'utf8').catch(() => undefined)) === text) return;
  stale += 1;
  if (checkOnly) {
    process.stderr.write(`${file} is not ${wanted}: run \`npm run docs\`\n`);
    return;
  }
  await mkdir(path.dirname(target), { recursive: true });
  await writeFile(target, text);
  process.stderr.write(`${file} written\n`);
}
