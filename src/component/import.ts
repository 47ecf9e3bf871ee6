/**
 * Takes builds from an archive (format: archive.ts) into the cache.
 *
 * The archive is read twice: once to check every name, size and checksum, and only when all of it is
 * right a second time to write. Nothing of it decides where a file goes but names that the checked
 * index lists, and these are plain file names.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream';
import { extract, type Entry } from 'tar-stream';
import {
  archiveError,
  archiveIndexName,
  archiveIndexSchema,
  type ArchiveIndex,
  buildFolderName,
  maxIndexBytes,
} from './archive.ts';
import { thisProcess } from './build-lock.ts';
import { readEntry, recordName } from './cache-entry.ts';
import { manifest as shipped, type Artefact } from './manifest.ts';
import { componentCache, hostGoArch, modulesFolder } from './places.ts';
import { sourceKey } from './source-key.ts';
import { messageOf } from '../kernel/message-of.ts';

export interface ImportOptions {
  readonly file: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly artefacts?: readonly Artefact[];
  readonly cache?: string;
  readonly modules?: string;
  readonly signal?: AbortSignal | undefined;
}

export interface Imported {
  readonly artefact: string;
  readonly folder: string;
  /** False if the cache had it already. */
  readonly fresh: boolean;
  /** Why this k3s-lite on this machine will not use it, if so. */
  readonly unusable?: string;
}

/** @throws StartupError ERR_COMPONENT if the archive is not one of ours or damaged; nothing is written then */
export async function importComponents(options: ImportOptions): Promise<readonly Imported[]> {
  const { env, file, cache = componentCache(env), signal } = options;
  const index = await readArchive(file, signal, async (_name, chunks) => {
    for await (const _chunk of chunks);
  });

  const workshop = path.join(cache, `.importing-${String(process.pid)}-${String(thisProcess().startTicks)}`);
  await rm(workshop, { recursive: true, force: true });
  try {
    for (const build of index.builds) await mkdir(path.join(workshop, buildFolderName(build)), { recursive: true });
    await readArchive(file, signal, async (name, chunks) => {
      await using handle = await open(path.join(workshop, name), 'wx', 0o755);
      for await (const chunk of chunks) await handle.write(chunk);
    });
    const imported: Imported[] = [];
    for (const build of index.builds) imported.push(await install(workshop, build, cache, options));
    return imported;
  } finally {
    await rm(workshop, { recursive: true, force: true });
  }
}

async function install(
  workshop: string,
  build: ArchiveIndex['builds'][number],
  cache: string,
  options: ImportOptions,
): Promise<Imported> {
  const name = buildFolderName(build);
  const from = path.join(workshop, name);
  const folder = path.join(cache, name);
  for (const link of build.links) await symlink(link.target, path.join(from, link.name));
  await writeFile(path.join(from, recordName), JSON.stringify(build, undefined, 2));
  let fresh = true;
  await rename(from, folder).catch((error: unknown) => {
    if (readEntry(folder) === undefined) throw error;
    fresh = false;
  });
  const unusable = whyUnusable(build, options);
  return { artefact: build.artefact, folder, fresh, ...(unusable === undefined ? {} : { unusable }) };
}

function whyUnusable(build: ArchiveIndex['builds'][number], options: ImportOptions): string | undefined {
  const { artefacts = shipped.artefacts, modules = modulesFolder() } = options;
  const artefact = artefacts.find(({ name }) => name === build.artefact);
  if (artefact === undefined) return `this k3s-lite knows no ${build.artefact}`;
  if (build.goArch !== hostGoArch()) return `it is for ${build.goArch}, this machine is ${hostGoArch()}`;
  if (sourceKey(artefact, modules, build.goArch) !== build.sourceKey) {
    return 'it was built from other sources than those of this k3s-lite';
  }
  return undefined;
}

type Consume = (name: string, chunks: AsyncIterable<Buffer>) => Promise<void>;

/**
 * Reads the whole archive and checks it against its index; `consume` gets each file's content while
 * it is hashed.
 *
 * @throws StartupError ERR_COMPONENT at the first thing that is not as the index says
 */
async function readArchive(file: string, signal: AbortSignal | undefined, consume: Consume): Promise<ArchiveIndex> {
  const tar = extract();
  // Errors of either stream come out of the iteration below.
  pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), tar, () => undefined);
  try {
    let contents: Contents | undefined;
    for await (const entry of tar) {
      signal?.throwIfAborted();
      if (contents === undefined) contents = expectedOf(await readIndex(entry));
      else await readMember(entry, contents, consume);
    }
    if (contents === undefined) throw refuse('it is empty');
    const [missing] = contents.expected.keys();
    if (missing !== undefined) throw refuse(`${missing} is missing: the archive is incomplete`);
    return contents.index;
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof Error && 'code' in error && error.code === 'ERR_COMPONENT') throw error;
    throw refuse(messageOf(error), error);
  } finally {
    tar.destroy();
  }
}

interface Contents {
  readonly index: ArchiveIndex;
  /** Files that have not come yet, by their name in the archive. */
  readonly expected: Map<string, { readonly size: number; readonly sha256: string }>;
}

async function readIndex(entry: Entry): Promise<ArchiveIndex> {
  const { name, type, size = 0 } = entry.header;
  if (name !== archiveIndexName || type !== 'file' || size > maxIndexBytes) {
    throw refuse(`it does not begin with ${archiveIndexName}`);
  }
  const chunks: Buffer[] = [];
  for await (const chunk of entry as AsyncIterable<Buffer>) chunks.push(chunk);
  const parsed = archiveIndexSchema.safeParse(JSON.parse(Buffer.concat(chunks).toString('utf8')));
  if (!parsed.success) throw refuse(`its index is not valid: ${parsed.error.issues[0]?.message ?? ''}`, parsed.error);
  return parsed.data;
}

function expectedOf(index: ArchiveIndex): Contents {
  const expected: Contents['expected'] = new Map();
  for (const build of index.builds) {
    for (const { name, size, sha256 } of build.files)
      expected.set(`${buildFolderName(build)}/${name}`, { size, sha256 });
  }
  return { index, expected };
}

async function readMember(entry: Entry, { expected }: Contents, consume: Consume): Promise<void> {
  const { name, type } = entry.header;
  const file = expected.get(name);
  if (type !== 'file' || file === undefined)
    throw refuse(`it holds ${JSON.stringify(name)}, which its index does not list`);
  expected.delete(name);
  const hash = createHash('sha256');
  let size = 0;
  const hashed = async function* (): AsyncGenerator<Buffer> {
    for await (const chunk of entry as AsyncIterable<Buffer>) {
      hash.update(chunk);
      size += chunk.length;
      yield chunk;
    }
  };
  await consume(name, hashed());
  if (size !== file.size || hash.digest('hex') !== file.sha256) throw refuse(`${name} is damaged`);
}

function refuse(reason: string, cause?: unknown) {
  return archiveError(
    'import',
    reason,
    'Copy the archive again, or make it anew by `k3s-lite components export FILE`; nothing was changed here.',
    cause,
  );
}
