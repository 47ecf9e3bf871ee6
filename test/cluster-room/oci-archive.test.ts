import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { busyboxRecipe } from '../../src/cluster/first-pod.ts';
import { packOciArchive, type ImageRecipe } from '../../src/cluster/oci-archive.ts';
import { temporaryFolder } from './settings-kit.ts';

const recipe: ImageRecipe = {
  name: 'k3s-lite.local/test:1',
  architecture: 'amd64',
  entries: [{ kind: 'file', path: 'pause', mode: 0o755, content: Buffer.from('#!') }],
  entrypoint: ['/pause'],
};
const descriptor = z.object({ digest: z.string(), size: z.number() });

test('the same files give the same archive and digest, other files another', () => {
  expect(packOciArchive(recipe).bytes.equals(packOciArchive({ ...recipe }).bytes)).toBe(true);
  const other = {
    ...recipe,
    entries: [{ kind: 'file' as const, path: 'pause', mode: 0o755, content: Buffer.from('#?') }],
  };
  expect(packOciArchive(other).digest).not.toBe(packOciArchive(recipe).digest);
});

test('tar unpacks it into an OCI layout whose digests and sizes are right down to the layer', () => {
  const folder = temporaryFolder();
  writeFileSync(path.join(folder, 'image.tar'), packOciArchive(busyboxRecipe(Buffer.from('a program'))).bytes);
  execFileSync('tar', ['-xf', 'image.tar'], { cwd: folder });
  const blob = (found: z.infer<typeof descriptor>): Buffer => {
    const content = readFileSync(path.join(folder, 'blobs/sha256', found.digest.replace('sha256:', '')));
    expect(`sha256:${createHash('sha256').update(content).digest('hex')}`).toBe(found.digest);
    expect(content.length).toBe(found.size);
    return content;
  };
  const index = z
    .object({ manifests: z.tuple([descriptor.extend({ annotations: z.record(z.string(), z.string()) })]) })
    .parse(JSON.parse(readFileSync(path.join(folder, 'index.json'), 'utf8')));
  expect(index.manifests[0].annotations['io.containerd.image.name']).toBe('k3s-lite.local/busybox:1');
  const manifest = z
    .object({ config: descriptor, layers: z.tuple([descriptor]) })
    .parse(JSON.parse(blob(index.manifests[0]).toString()));
  const config = z
    .object({ rootfs: z.object({ diff_ids: z.array(z.string()) }) })
    .parse(JSON.parse(blob(manifest.config).toString()));
  expect(config.rootfs.diff_ids).toEqual([manifest.layers[0].digest]);

  const root = path.join(folder, 'root');
  mkdirSync(root);
  writeFileSync(path.join(folder, 'layer.tar'), blob(manifest.layers[0]));
  execFileSync('tar', ['-xpf', '../layer.tar'], { cwd: root });
  expect(readFileSync(path.join(root, 'bin/busybox'), 'utf8')).toBe('a program');
  expect(statSync(path.join(root, 'bin/busybox')).mode & 0o777).toBe(0o755);
  expect(readlinkSync(path.join(root, 'bin/sh'))).toBe('busybox');
});

test('a path that does not fit into the format is refused', () => {
  const entries = [{ kind: 'directory' as const, path: 'x'.repeat(101), mode: 0o755 }];
  expect(() => packOciArchive({ ...recipe, entries })).toThrow('longer than 100 bytes');
});
