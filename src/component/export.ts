/** Writes cached builds into one archive (format: archive.ts). */
import { createReadStream, createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { pack, type Pack } from 'tar-stream';
import { archiveError, archiveIndexName, type ArchiveIndex, buildFolderName } from './archive.ts';
import { cachedBuild, type CacheEntry, damageOf } from './cache-entry.ts';
import { type Artefact, manifest as shipped } from './manifest.ts';
import { componentCache, hostGoArch, modulesFolder } from './places.ts';

export interface ExportOptions {
  readonly file: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly artefacts?: readonly Artefact[];
  readonly cache?: string;
  readonly modules?: string;
  readonly goArch?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Exported {
  readonly file: string;
  readonly builds: readonly { readonly artefact: string; readonly goArch: string }[];
}

/**
 * Writes `file` (by a rename: it is complete or not there) with the present builds of all artefacts.
 *
 * @throws StartupError ERR_COMPONENT if a build is missing or damaged
 */
export async function exportComponents(options: ExportOptions): Promise<Exported> {
  const {
    env,
    artefacts = shipped.artefacts,
    cache = componentCache(env),
    modules = modulesFolder(),
    signal,
  } = options;
  const goArch = options.goArch ?? env['GOARCH'] ?? hostGoArch();
  const entries: CacheEntry[] = [];
  for (const artefact of artefacts) {
    const entry = cachedBuild(artefact, { cache, modules, goArch });
    const build = `k3s-lite components build --all${goArch === hostGoArch() ? '' : ` --arch ${goArch}`}`;
    if (entry === undefined) throw archiveError('export', `${artefact.name} for ${goArch} is not in the cache`, build);
    const damage = await damageOf(entry);
    if (damage.length > 0) throw archiveError('export', `${artefact.name}: ${damage.join('; ')}`, `${build} --force`);
    entries.push(entry);
  }
  const file = path.resolve(options.file);
  const temporary = `${file}.${String(process.pid)}.part`;
  const archive = pack();
  try {
    await Promise.all([
      pipeline(archive, createWriteStream(temporary), ...(signal === undefined ? [] : [{ signal }])),
      fill(archive, entries).catch((error: unknown) => {
        archive.destroy(error instanceof Error ? error : new Error(String(error)));
        throw error;
      }),
    ]);
    await rename(temporary, file);
  } finally {
    await rm(temporary, { force: true });
  }
  return { file, builds: entries.map(({ record }) => ({ artefact: record.artefact, goArch: record.goArch })) };
}

async function fill(archive: Pack, entries: readonly CacheEntry[]): Promise<void> {
  const index: ArchiveIndex = { format: 1, builds: entries.map(({ record }) => record) };
  archive.entry({ name: archiveIndexName }, JSON.stringify(index, undefined, 2));
  for (const { folder, record } of entries) {
    for (const { name, size } of record.files) {
      // The time of the archive says nothing; a fixed one makes two exports of the same builds alike.
      const header = { name: `${buildFolderName(record)}/${name}`, size, mode: 0o755, mtime: new Date(record.builtAt) };
      await pipeline(createReadStream(path.join(folder, name), { highWaterMark: 1 << 20 }), archive.entry(header));
    }
  }
  archive.finalize();
}
