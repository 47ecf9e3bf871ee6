/**
 * What lies in the manifests folder: files with their texts, and which of them are left out.
 *
 * `NAME.yaml.skip` beside a file: it is not applied any more, and what it has made stays. `--disable
 * NAME` for `NAME.yaml`: what it has made is deleted. Source: K3s, both.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';

export interface ManifestFile {
  /** Relative to the folder. */
  readonly name: string;
  readonly text: string;
  /** SHA-256 of the text. */
  readonly hash: string;
}

export interface ManifestFolder {
  readonly files: readonly ManifestFile[];
  /** Names of files that are there but must not be applied. */
  readonly skipped: ReadonlySet<string>;
  /** Files and folders that cannot be read, with the reason. */
  readonly unreadable: ReadonlyMap<string, string>;
}

const isManifest = (name: string): boolean => /\.(?:ya?ml|json)$/.test(name) && !path.basename(name).startsWith('.');

/** "addons/web.yaml" → "web" */
const stemOf = (name: string): string => path.basename(name).replace(/\.(?:ya?ml|json)$/, '');

export async function readManifestFolder(folder: string, disabled: readonly string[]): Promise<ManifestFolder> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  });
  const names = entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .sort();
  const skips = new Set(names.filter((name) => name.endsWith('.skip')).map((name) => name.slice(0, -'.skip'.length)));
  const skipped = new Set(names.filter((name) => isManifest(name) && skips.has(name)));
  const files: ManifestFile[] = [];
  const unreadable = new Map<string, string>();
  for (const name of names) {
    if (!isManifest(name) || skipped.has(name) || disabled.includes(stemOf(name))) continue;
    try {
      const text = await readFile(path.join(folder, name), 'utf8');
      files.push({ name, text, hash: createHash('sha256').update(text).digest('hex') });
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      // Removed between the two looks: the next one finds it gone.
      if (code !== 'ENOENT') unreadable.set(name, message);
    }
  }
  return { files, skipped, unreadable };
}
