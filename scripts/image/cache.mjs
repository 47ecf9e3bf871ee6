/** Layers and archives that were made before, by what they were made from; in the user's cache folder. */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';

/** Source: XDG Base Directory Specification. */
export function imageCache(env = process.env) {
  const xdg = env.XDG_CACHE_HOME ?? '';
  return path.join(path.isAbsolute(xdg) ? xdg : path.join(homedir(), '.cache'), 'k3s-lite/images');
}

export const keyOf = (...parts) => createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);

/** What a tree is, cheaply: names and contents of small files, names and sizes of large ones that `versions` tells apart. */
export async function treeKey(entries, versions = '') {
  const largest = 4 * 1024 * 1024;
  const parts = await Promise.all(
    entries.map(async ({ path: at, type, mode, size, source, content, target }) => {
      const bytes = source === undefined || size > largest ? '' : await readFile(source);
      const hash = createHash('sha256').update(content ?? bytes);
      return [at, type, mode, size ?? 0, target ?? '', hash.digest('hex')];
    }),
  );
  return keyOf(
    versions,
    parts.sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

/**
 * The file `name` of the cache with its facts; `make(file)` writes it, and gives them, when it is not there.
 * It appears by a rename: what is there is whole.
 */
export async function cached(name, make, onMake) {
  const file = path.join(imageCache(), name);
  try {
    const facts = JSON.parse(await readFile(`${file}.json`, 'utf8'));
    if ((await stat(file)).size === facts.size) return { ...facts, file };
  } catch {
    // Not made yet, or not finished.
  }
  onMake?.();
  await mkdir(path.dirname(file), { recursive: true });
  const draft = `${file}.${process.pid}.part`;
  try {
    const facts = await make(draft);
    await rename(draft, file);
    await writeFile(`${file}.json`, JSON.stringify(facts));
    return { ...facts, file };
  } finally {
    await rm(draft, { force: true });
  }
}
