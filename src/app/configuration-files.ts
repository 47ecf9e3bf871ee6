/** Which configuration files there are, and what they say together. */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { FlagValues } from './flag-values.ts';

/** config.yaml, then config.yaml.d/*.yaml in lexical order; a later file replaces a key. Source: K3s, the same order. */
export async function readConfigurationFiles(file: string): Promise<FlagValues> {
  const folder = `${file}.d`;
  const dropIns = existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => /\.ya?ml$/.test(name))
        .sort()
        .map((name) => path.join(folder, name))
    : [];
  const files = [...(existsSync(file) ? [file] : []), ...dropIns];
  // Most starts have no such file, and the library that reads it is not small. Loaded through a module of
  // ours: a bundled CommonJS package has no named exports when it is imported dynamically.
  if (files.length === 0) return {};
  const { readConfigurationFile } = await import('./configuration-file.ts');
  return Object.assign({}, ...files.map(readConfigurationFile)) as FlagValues;
}
