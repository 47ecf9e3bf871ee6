/** The Dockerfiles say what `npm run image` makes; the archive writer gives the same bytes for the same tree. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { packages } from '../../scripts/image/base.mjs';
import { writeLayer } from '../../scripts/image/layer.mjs';
import { describeImage, writeImage } from '../../scripts/image/oci.mjs';
import { minimalConfig, nodeConfig } from '../../scripts/image/recipes.mjs';

const root = path.resolve(import.meta.dirname, '../..');

/** What a Dockerfile's last stage says of how the image is run. */
function configOf(file: string) {
  const text = readFileSync(path.join(root, file), 'utf8');
  const last = text.slice(text.lastIndexOf('\nFROM '));
  const all = (word: string) => [...last.matchAll(new RegExp(`^${word} (.*)$`, 'gm'))].map(([, value]) => value ?? '');
  const keys = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, {}]));
  const volumes = all('VOLUME');
  return {
    Entrypoint: JSON.parse(all('ENTRYPOINT')[0] ?? '[]') as unknown,
    Env: all('ENV'),
    ExposedPorts: keys(all('EXPOSE')),
    ...(volumes.length === 0 ? {} : { Volumes: keys(volumes) }),
    StopSignal: all('STOPSIGNAL')[0],
  };
}

describe('[C5] the Dockerfiles', () => {
  test('run as the images of `npm run image` do', () => {
    expect(configOf('packaging/image/Dockerfile')).toEqual(nodeConfig);
    expect(configOf('examples/entrypoint/Dockerfile')).toEqual(minimalConfig);
  });

  test('the node’s installs the same packages', () => {
    const text = readFileSync(path.join(root, 'packaging/image/Dockerfile'), 'utf8');
    const [, list = ''] = /debian:bookworm-slim\n[^\n]*\\\n\s+([^\\]+)\\/.exec(text) ?? [];
    expect(list.trim().split(' ')).toEqual([...packages].sort());
  });
});

describe('the archive writer', () => {
  const folder = () => {
    const made = mkdtempSync(path.join(tmpdir(), 'k3s-lite-image-'));
    onTestFinished(() => rmSync(made, { recursive: true, force: true }));
    return made;
  };

  test('the same tree gives the same digest, in any order, and tar reads it', async () => {
    const at = folder();
    const source = path.join(at, 'source');
    writeFileSync(source, 'content');
    const entries = [
      { path: 'usr/bin/program', type: 'file', mode: 0o755, size: 7, source },
      { path: `a/${'long'.repeat(40)}/name`, type: 'file', mode: 0o644, content: 'x' },
      { path: 'bin', type: 'symlink', mode: 0o777, target: 'usr/bin' },
    ] as const;
    const one = await writeLayer(path.join(at, 'one.tar'), entries);
    const two = await writeLayer(path.join(at, 'two.tar'), [...entries].reverse());
    expect(two).toEqual(one);
    const listed = execFileSync('tar', ['--list', '--verbose', '--numeric-owner', '--file', path.join(at, 'one.tar')], {
      encoding: 'utf8',
      env: { ...process.env, TZ: 'UTC' },
    });
    expect(listed).toMatch(/^-rwxr-xr-x 0\/0 +7 1970-01-01 00:00 usr\/bin\/program$/m);
    expect(listed).toMatch(/^drwxr-xr-x 0\/0 +0 1970-01-01 00:00 usr\/?$/m);
    expect(listed).toMatch(/bin -> usr\/bin$/m);
    expect(listed).toContain('long'.repeat(40));
  });

  test('the archive is an OCI layout that names its image, and every blob is what its name says', async () => {
    const at = folder();
    const file = path.join(at, 'layer.tar');
    const layer = {
      ...(await writeLayer(file, [{ path: 'a', type: 'file', mode: 0o644, content: 'x' }])),
      file,
      about: 'a',
    };
    const image = { name: 'test.local/a:1', architecture: 'amd64', layers: [layer], config: minimalConfig };
    const described = describeImage(image);
    expect(describeImage(image)).toEqual(described);
    const archive = path.join(at, 'image.tar');
    await writeImage(archive, described, [layer]);
    execFileSync('tar', ['--extract', '--file', archive, '--directory', at]);
    const index = JSON.parse(readFileSync(path.join(at, 'index.json'), 'utf8')) as {
      manifests: [{ digest: string; annotations: Record<string, string> }];
    };
    expect(index.manifests[0].digest).toBe(described.digest);
    expect(index.manifests[0].annotations['io.containerd.image.name']).toBe('test.local/a:1');
    const sums = execFileSync('sh', ['-c', 'cd blobs/sha256 && sha256sum *'], { cwd: at, encoding: 'utf8' });
    const blobs = sums.trim().split('\n');
    expect(blobs).toHaveLength(3);
    for (const line of blobs) expect(line).toMatch(/^([0-9a-f]{64}) {2}\1$/);
  });
});
