/** dist/: built when the sources are not those it was built from. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { runStep } from './run.mjs';
import { heading } from './say.mjs';

/** What decides the content of dist/. */
const inputs = [
  'src',
  // A code cache is only taken with the flags that it was made with.
  'bin',
  'scripts/build.mjs',
  'scripts/code-cache.mjs',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'tsconfig.types.json',
];

export async function buildSources(root) {
  const stamp = await contentHash(root);
  const stampFile = path.join(root, '.cache/build-stamp');
  const built = await readFile(stampFile, 'utf8').catch(() => '');
  if (built === stamp && ['cli', 'up'].every((name) => existsSync(path.join(root, `dist/${name}.cjs.cache`)))) return;
  heading('build');
  await mkdir(path.dirname(stampFile), { recursive: true });
  await runStep(process.execPath, ['scripts/build.mjs'], 'the build failed', { cwd: root });
  await writeFile(stampFile, stamp);
}

async function contentHash(root) {
  const hash = createHash('sha256');
  for (const input of inputs) {
    for (const file of await filesOf(root, input)) {
      const content = await readFile(path.join(root, file));
      hash.update(JSON.stringify([file, content.length])).update(content);
    }
  }
  return hash.digest('hex');
}

async function filesOf(root, input) {
  if (path.extname(input) !== '') return [input];
  const entries = await readdir(path.join(root, input), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath ?? entry.path, entry.name)))
    .sort();
}
