/**
 * The content key of a build: the same key means the same binary.
 *
 * The Go version is not part of the source key but of the entry's name: a node without Go must find
 * what was built or imported for it, while a build with a newer Go is a build of its own.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Artefact } from './manifest.ts';

/** Only Linux has cgroups, network namespaces and the rest that a node is made of. */
export const goOs = 'linux';

/** SHA-256 (hex) over go.mod, go.sum, all *.go files, the flags, and the target system. */
export function sourceKey(artefact: Artefact, modules: string, goArch: string): string {
  const hash = createHash('sha256');
  // JSON keeps the parts apart: no two inputs run into each other.
  const add = (...parts: readonly string[]) => hash.update(JSON.stringify(parts));
  add('1', goOs, goArch, ...goBuildFlags(artefact), '--', artefact.output ?? '', ...(artefact.links ?? []));
  add(...artefact.packages);
  const folder = path.join(modules, artefact.module);
  for (const file of sourceFiles(folder)) add(file, readFileSync(path.join(folder, file), 'utf8'));
  return hash.digest('hex');
}

/** Flags of `go build` that decide what comes out. VCS stamping is off: it would tell two clones apart. */
export function goBuildFlags({ tags = [], ldflags }: Artefact): readonly string[] {
  return [
    '-trimpath',
    '-buildvcs=false',
    ...(tags.length === 0 ? [] : ['-tags', tags.join(',')]),
    '-ldflags',
    ldflags.join(' '),
  ];
}

/** Prefix of the cache entries of one artefact, target and source. Twelve digits keep folder names short. */
export function entryPrefix(artefact: string, goArch: string, key: string): string {
  return `${artefact}-${goArch}-${key.slice(0, 12)}-`;
}

export function entryName(artefact: string, goArch: string, key: string, goVersion: string): string {
  return entryPrefix(artefact, goArch, key) + goVersion.replace(/[^\w.+-]/g, '_');
}

function sourceFiles(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file === 'go.mod' || file === 'go.sum' || (file.endsWith('.go') && !file.endsWith('_test.go')))
    .sort();
}
