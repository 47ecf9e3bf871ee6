/**
 * Packs a few files as an OCI image archive (an OCI layout inside a tar), so that images of our own
 * need no registry and no build tool. The same input gives the same bytes: no times, no owners.
 * Source: OCI Image Format 1.1; tar as in POSIX.1-1988 (ustar).
 */
import { createHash } from 'node:crypto';

export type ImageEntry =
  | { readonly kind: 'file'; readonly path: string; readonly mode: number; readonly content: Uint8Array }
  | { readonly kind: 'directory'; readonly path: string; readonly mode: number }
  | { readonly kind: 'link'; readonly path: string; readonly target: string };

export interface ImageRecipe {
  /** Full name with tag: "k3s-lite.local/pause:1". */
  readonly name: string;
  /** GOARCH. */
  readonly architecture: string;
  readonly entries: readonly ImageEntry[];
  readonly entrypoint: readonly string[];
  readonly env?: readonly string[];
}

export interface OciArchive {
  readonly bytes: Buffer;
  /** Digest of the manifest: the image's id. */
  readonly digest: string;
}

export function packOciArchive(recipe: ImageRecipe): OciArchive {
  const layer = tar(recipe.entries);
  const config = json({
    architecture: recipe.architecture,
    os: 'linux',
    created: '1970-01-01T00:00:00Z',
    config: { Entrypoint: recipe.entrypoint, Env: recipe.env ?? ['PATH=/bin'] },
    rootfs: { type: 'layers', diff_ids: [digestOf(layer)] },
    history: [{ created: '1970-01-01T00:00:00Z', created_by: 'k3s-lite' }],
  });
  const descriptor = (mediaType: string, blob: Buffer) => ({ mediaType, digest: digestOf(blob), size: blob.length });
  const manifest = json({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: descriptor('application/vnd.oci.image.config.v1+json', config),
    layers: [descriptor('application/vnd.oci.image.layer.v1.tar', layer)],
  });
  const index = json({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [
      {
        ...descriptor('application/vnd.oci.image.manifest.v1+json', manifest),
        // Without it containerd imports the image under its tag alone.
        annotations: { 'io.containerd.image.name': recipe.name, 'org.opencontainers.image.ref.name': recipe.name },
        platform: { architecture: recipe.architecture, os: 'linux' },
      },
    ],
  });
  const blobs = [layer, config, manifest].map((content) => file(`blobs/sha256/${hashOf(content)}`, content));
  const bytes = tar([file('oci-layout', json({ imageLayoutVersion: '1.0.0' })), file('index.json', index), ...blobs]);
  return { bytes, digest: digestOf(manifest) };
}

/** GOARCH of this machine, for programs that were found on it. */
export function goArchitecture(arch: string = process.arch): string {
  return arch === 'x64' ? 'amd64' : arch;
}

const file = (path: string, content: Uint8Array): ImageEntry => ({ kind: 'file', path, mode: 0o644, content });
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const hashOf = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex');
const digestOf = (content: Uint8Array): string => `sha256:${hashOf(content)}`;

const blockBytes = 512;
const typeFlag = { file: '0', link: '2', directory: '5' } as const;

function tar(entries: readonly ImageEntry[]): Buffer {
  const parts: Uint8Array[] = [];
  for (const entry of entries) {
    const content = entry.kind === 'file' ? entry.content : new Uint8Array();
    parts.push(header(entry, content.length), content, Buffer.alloc(-content.length & (blockBytes - 1)));
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * blockBytes)]);
}

function header(entry: ImageEntry, size: number): Buffer {
  if (Buffer.byteLength(entry.path) > 100) throw new RangeError(`tar: the path ${entry.path} is longer than 100 bytes`);
  const block = Buffer.alloc(blockBytes);
  const octal = (value: number, at: number, length: number) =>
    block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at);
  block.write(entry.path, 0);
  octal(entry.kind === 'link' ? 0o777 : entry.mode, 100, 8);
  octal(0, 108, 8); // owner
  octal(0, 116, 8); // group
  octal(size, 124, 12);
  octal(0, 136, 12); // time
  block.write(' '.repeat(8), 148); // the checksum counts itself as blanks
  block.write(typeFlag[entry.kind], 156);
  if (entry.kind === 'link') block.write(entry.target, 157);
  block.write('ustar\0', 257);
  block.write('00', 263);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}
