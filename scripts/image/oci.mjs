/**
 * An OCI image archive of layers that lie on disk: what `docker load`, `podman load` and `ctr images import` take.
 * Source: OCI Image Format 1.1. Its twin for a few small files in memory is src/cluster/oci-archive.ts.
 */
import { createHash } from 'node:crypto';
import { writeArchive } from './layer.mjs';

const json = (value) => JSON.stringify(value);
const digestOf = (text) => `sha256:${createHash('sha256').update(text).digest('hex')}`;
const created = '1970-01-01T00:00:00Z';
const type = (name) => `application/vnd.oci.image.${name}`;

/** Manifest, configuration and index: with the layers all that the archive holds. */
export function describeImage({ name, architecture, layers, config }) {
  const configuration = json({
    architecture,
    os: 'linux',
    created,
    config,
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    history: layers.map(({ about }) => ({ created, created_by: `k3s-lite: ${about}` })),
  });
  const descriptor = (mediaType, text) => ({ mediaType, digest: digestOf(text), size: Buffer.byteLength(text) });
  const manifest = json({
    schemaVersion: 2,
    mediaType: type('manifest.v1+json'),
    config: descriptor(type('config.v1+json'), configuration),
    layers: layers.map(({ digest, size }) => ({ mediaType: type('layer.v1.tar'), digest, size })),
  });
  const index = json({
    schemaVersion: 2,
    mediaType: type('index.v1+json'),
    manifests: [
      {
        ...descriptor(type('manifest.v1+json'), manifest),
        // Without it containerd imports the image under its tag alone.
        annotations: { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': name },
        platform: { architecture, os: 'linux' },
      },
    ],
  });
  return { digest: digestOf(manifest), configuration, manifest, index };
}

export function writeImage(file, { configuration, manifest, index }, layers) {
  const blob = (digest) => `blobs/sha256/${digest.slice('sha256:'.length)}`;
  const text = (path, content) => ({ path, content });
  return writeArchive(file, [
    text('oci-layout', json({ imageLayoutVersion: '1.0.0' })),
    text('index.json', index),
    text(blob(digestOf(configuration)), configuration),
    text(blob(digestOf(manifest)), manifest),
    ...layers.map(({ digest, size, file: source }) => ({ path: blob(digest), source, size })),
  ]);
}
