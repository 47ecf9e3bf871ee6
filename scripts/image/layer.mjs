/**
 * Writes a layer of an image as a tar, entry by entry: a large tree is never held in memory.
 *
 * The same tree gives the same bytes: sorted, no times, no owners but root, no names of users.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { Transform } from 'node:stream';
import { extract, pack } from 'tar-stream';

/**
 * @typedef {{path: string, type: 'file' | 'directory' | 'symlink', mode: number, size?: number,
 *   source?: string, content?: string, target?: string}} TreeEntry
 * path: without a leading slash. A file has a source (on disk, with its size) or a content.
 */

const noTime = new Date(0);

/** Writes `file` with what `fill` packs; its digest and size. */
async function writeTar(file, fill) {
  const archive = pack();
  const hash = createHash('sha256');
  let size = 0;
  const measure = new Transform({
    transform(chunk, _encoding, done) {
      hash.update(chunk);
      size += chunk.length;
      done(undefined, chunk);
    },
  });
  const filled = fill(archive).then(
    () => archive.finalize(),
    (error) => {
      archive.destroy(error);
      throw error;
    },
  );
  await Promise.all([pipeline(archive, measure, createWriteStream(file, { highWaterMark: 1 << 20 })), filled]);
  return { digest: `sha256:${hash.digest('hex')}`, size };
}

/** A layer of `entries`, in any order. */
export function writeLayer(file, entries) {
  const sorted = withFolders(entries).sort((a, b) => (a.path < b.path ? -1 : 1));
  return writeTar(file, async (archive) => {
    for (const entry of sorted) await addEntry(archive, entry);
  });
}

async function addEntry(archive, { path, type, mode, size, source, content, target }) {
  const header = { name: path, type, mode, mtime: noTime, uid: 0, gid: 0 };
  if (type === 'symlink') return added(archive, { ...header, linkname: target });
  if (type === 'directory') return added(archive, header);
  if (content !== undefined) return added(archive, header, content);
  await pipeline(createReadStream(source, { highWaterMark: 1 << 20 }), archive.entry({ ...header, size }));
}

const added = (archive, header, content) =>
  new Promise((resolve, reject) => {
    archive.entry(header, content ?? '', (error) => (error ? reject(error) : resolve()));
  });

/** Every folder above an entry that no entry names: 0755, as an image's own are. */
function withFolders(entries) {
  const known = new Map(entries.map((entry) => [entry.path, entry]));
  for (const { path } of entries) {
    const parts = path.split('/');
    for (let depth = 1; depth < parts.length; depth += 1) {
      const folder = parts.slice(0, depth).join('/');
      if (!known.has(folder)) known.set(folder, { path: folder, type: 'directory', mode: 0o755 });
    }
  }
  return [...known.values()];
}

/** A layer of another tar's entries, in its order, without those that `isWanted` refuses. */
export function copyLayer(file, from, isWanted) {
  return writeTar(file, async (archive) => {
    const entries = extract();
    const read = pipeline(createReadStream(from, { highWaterMark: 1 << 20 }), entries);
    for await (const entry of entries) {
      const { name, type, mode, size, linkname, uid, gid, devmajor, devminor } = entry.header;
      const path = name.replace(/^\.\//, '').replace(/\/$/, '');
      if (path === '' || path === '.' || !isWanted(path)) {
        entry.resume();
        continue;
      }
      // A hard link names its file as the tar does.
      const target = type === 'link' ? linkname.replace(/^\.\//, '') : linkname;
      const header = { name: path, type, mode, uid, gid, linkname: target, devmajor, devminor, mtime: noTime };
      if (type !== 'file') {
        entry.resume();
        await added(archive, header);
      } else await pipeline(entry, archive.entry({ ...header, size }));
    }
    await read;
  });
}

/** Writes an archive of files that lie on disk or in memory, in the given order. */
export function writeArchive(file, parts) {
  return writeTar(file, async (archive) => {
    for (const part of parts) await addEntry(archive, { type: 'file', mode: 0o644, ...part });
  });
}
