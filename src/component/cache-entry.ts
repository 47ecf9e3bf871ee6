/**
 * A finished build in the cache: a folder with the binaries and `build.json`, which says what they
 * are. A folder appears by one rename, so an entry with a record is complete.
 *
 * Looked up synchronously: it is part of each start, and a look takes less time than a thread to wake.
 */
import { createHash } from 'node:crypto';
import { createReadStream, lstatSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { fsPromises } from '../kernel/lazily.ts';
import type { Artefact } from './manifest.ts';
import { entryPrefix, sourceKey } from './source-key.ts';

export const recordName = 'build.json';

/** A plain file name: nothing in a record or an archive can point out of its folder. */
export const plainName = z
  .string()
  .max(100)
  .regex(/^\w[\w.+-]*$/, 'a plain file name');

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 in hex');

export const buildRecordSchema = z.strictObject({
  format: z.literal(1),
  artefact: plainName,
  sourceKey: sha256,
  goOs: plainName,
  goArch: plainName,
  goVersion: z.string().max(100),
  builtAt: z.iso.datetime(),
  elapsedMs: z.number().nonnegative(),
  files: z.array(z.strictObject({ name: plainName, size: z.number().int().nonnegative(), sha256 })).min(1),
  links: z.array(z.strictObject({ name: plainName, target: plainName })),
  /** By program; measured by running it, or taken from the manifest when built for another machine. */
  versions: z.record(plainName, z.string().max(100)),
});
export type BuildRecord = z.infer<typeof buildRecordSchema>;

export interface CacheEntry {
  readonly folder: string;
  readonly record: BuildRecord;
}

/** The newest complete build of `artefact` for `goArch` from the sources as they are now. */
export function cachedBuild(
  artefact: Artefact,
  places: { readonly cache: string; readonly modules: string; readonly goArch: string },
): CacheEntry | undefined {
  const key = sourceKey(artefact, places.modules, places.goArch);
  const prefix = entryPrefix(artefact.name, places.goArch, key);
  return listFolder(places.cache)
    .filter((name) => name.startsWith(prefix))
    .map((name) => readEntry(path.join(places.cache, name)))
    .filter((entry) => entry?.record.sourceKey === key)
    .sort((a, b) => Date.parse(b?.record.builtAt ?? '') - Date.parse(a?.record.builtAt ?? ''))
    .at(0);
}

/** Every complete entry of the cache, of whatever sources and architecture. */
export function cacheEntries(cache: string): readonly CacheEntry[] {
  const names = listFolder(cache).filter((name) => !name.startsWith('.'));
  return names.sort().flatMap((name) => readEntry(path.join(cache, name)) ?? []);
}

/** An entry, or undefined if the folder holds no readable record. */
export function readEntry(folder: string): CacheEntry | undefined {
  try {
    const json: unknown = JSON.parse(readFileSync(path.join(folder, recordName), 'utf8'));
    const parsed = buildRecordSchema.safeParse(json);
    return parsed.success ? { folder, record: parsed.data } : undefined;
  } catch {
    return undefined;
  }
}

function listFolder(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** One line per file of an entry that is not what was built; empty when all is well. */
export async function damageOf({ folder, record }: CacheEntry): Promise<readonly string[]> {
  const damage: string[] = [];
  for (const file of record.files) {
    const found = await sha256OfFile(path.join(folder, file.name)).catch(() => undefined);
    if (found === undefined) damage.push(`${file.name} cannot be read`);
    else if (found !== file.sha256) damage.push(`${file.name} has SHA-256 ${found}, recorded was ${file.sha256}`);
  }
  for (const link of record.links) {
    const target = await fsPromises()
      .readlink(path.join(folder, link.name))
      .catch(() => undefined);
    if (target !== link.target) damage.push(`${link.name} is not a link to ${link.target}`);
  }
  return damage;
}

/** True if the file of `program` has the recorded size: a cheap look; `damageOf` is the thorough one. */
export function looksWhole({ folder, record }: CacheEntry, program: string): boolean {
  const name = record.links.find((link) => link.name === program)?.target ?? program;
  const recorded = record.files.find((file) => file.name === name);
  const stats = lstatSync(path.join(folder, name), { throwIfNoEntry: false });
  return recorded !== undefined && stats?.size === recorded.size;
}

export async function sha256OfFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
