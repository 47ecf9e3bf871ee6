/** What is published: only what users need, and all of it. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

const root = path.resolve(import.meta.dirname, '../..');
const packageJson = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
  readonly name: string;
  readonly version: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly scripts: Readonly<Record<string, string>>;
};

function pack(): { readonly folder: string; readonly files: readonly string[] } & Disposable {
  const folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-package-'));
  execFileSync('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder], { cwd: root });
  const [tarball = ''] = readdirSync(folder);
  execFileSync('tar', ['-xf', path.join(folder, tarball), '-C', folder]);
  const packed = path.join(folder, 'package');
  return {
    folder: packed,
    files: readdirSync(packed, { recursive: true, encoding: 'utf8' }),
    [Symbol.dispose]: () => {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

describe('the package', () => {
  test('holds the command, the units and the sources of the components, and no tests or sources of ours', () => {
    using packed = pack();
    expect(packed.files).toEqual(
      expect.arrayContaining([
        'package.json',
        'LICENSE',
        'bin/k3s-lite.js',
        ...['kubernetes', 'containerd', 'coredns', 'pause', 'init'].map((module) => `components/${module}/go.mod`),
        'components/kubernetes/go.sum',
        'components/kubernetes/main.go',
        'components/containerd/tools.go',
      ]),
    );
    expect(packed.files.filter((file) => /^(?:src|test|scripts|bench|\.|node_modules)/.test(file))).toEqual([]);
  });

  test('runs from where it is installed: its version, and what components it finds', () => {
    // `npm test` builds first; alone: npm run build.
    expect(existsSync(path.join(root, 'dist/cli.cjs'))).toBe(true);
    using packed = pack();
    symlinkSync(path.join(root, 'node_modules'), path.join(packed.folder, 'node_modules'));
    const run = (...args: string[]) =>
      execFileSync(process.execPath, [path.join(packed.folder, packageJson.bin['k3s-lite'] ?? ''), ...args], {
        encoding: 'utf8',
      });
    expect(run('--version')).toContain(packageJson.version);
    const report = JSON.parse(run('components', 'list', '--json')) as { readonly programs: readonly object[] };
    expect(report.programs).toContainEqual(expect.objectContaining({ program: 'kube-apiserver' }));
  });

  test('a start, which has a script of its own, says where a unit file is wrong', () => {
    using packed = pack();
    symlinkSync(path.join(root, 'node_modules'), path.join(packed.folder, 'node_modules'));
    const units = path.join(packed.folder, 'my-units');
    mkdirSync(units);
    writeFileSync(path.join(units, 'web.yaml'), 'about: a typo\nrun: [web]\nreddy: { tcp: 1 }\n');
    const bin = path.join(packed.folder, packageJson.bin['k3s-lite'] ?? '');
    for (const command of ['up', 'server', 'agent']) {
      const { stderr, status } = spawnSync(process.execPath, [bin, command, '--units', units], { encoding: 'utf8' });
      expect(stderr).toContain('web.yaml:3:1');
      expect(stderr).toContain('"ready"');
      expect(status).toBe(3);
    }
  });

  test('pins every dependency exactly', () => {
    const ranges = Object.entries({ ...packageJson.dependencies, ...packageJson.devDependencies }).filter(
      ([, version]) => !/^\d+\.\d+\.\d+$/.test(version),
    );
    expect(ranges).toEqual([]);
  });

  test('runs no script when it is installed', () => {
    expect(Object.keys(packageJson.scripts).filter((name) => /^(?:pre|post)?install$|^prepare$/.test(name))).toEqual(
      [],
    );
  });
});

describe('the lockfile', () => {
  test('names no registry host', () => {
    expect(readFileSync(path.join(root, 'package-lock.json'), 'utf8')).not.toMatch(/https?:\/\/[^"]*registry/);
  });

  test('holds every optional platform package, or `npm ci` refuses it (scripts/complete-lockfile.mjs adds them)', () => {
    const { packages } = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8')) as {
      readonly packages: Readonly<Record<string, { readonly optionalDependencies?: Readonly<Record<string, string>> }>>;
    };
    const lacking = Object.entries(packages).flatMap(([place, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter(
        (name) =>
          packages[`node_modules/${name}`] === undefined && packages[`${place}/node_modules/${name}`] === undefined,
      ),
    );
    expect(lacking).toEqual([]);
  });
});
