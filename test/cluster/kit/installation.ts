/**
 * k3s-lite as a package installs it, in a temporary folder that every user can read, with the
 * control plane's programs as its component cache. Tests run this copy: a rebuild of the working
 * tree cannot pull files away under them, and a plain user can run it wherever the clone lies.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { copyFileSync, lstatSync, readlinkSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { findComponents } from '../../../src/component/find.ts';
import { copyDependencies } from './dependencies.ts';

const source = path.resolve(import.meta.dirname, '../../..');

export interface Installation extends Disposable {
  /** The program, to be run with node. */
  readonly cli: string;
  /** The shipped unit files. */
  readonly units: string;
  readonly kubectl: string;
  /** Folder of the programs: etcd, kube-apiserver, … */
  readonly programs: string;
  /** Environment that makes k3s-lite find the programs. */
  readonly env: Readonly<Record<string, string>>;
}

/** @throws an Error that says how to get what is missing */
export async function install(): Promise<Installation> {
  build();
  const report = await findComponents({ env: process.env });
  const etcd = report.programs.find(({ program }) => program === 'etcd');
  if (etcd?.status !== 'found' || etcd.origin !== 'cache') {
    throw new Error('the components are not built: run `node bin/k3s-lite.js components build`');
  }
  const root = mkdtempSync(path.join(tmpdir(), 'k3s-lite-package-'));
  chmodSync(root, 0o755);
  try {
    for (const name of ['package.json', 'bin', 'dist', 'units', 'components']) {
      cpSync(path.join(source, name), path.join(root, name), { recursive: true });
    }
    copyDependencies(source, path.join(root, 'node_modules'));
    const built = path.dirname(etcd.path);
    const programs = path.join(root, 'cache/k3s-lite/components', path.basename(built));
    linkFolder(built, programs);
    return {
      cli: path.join(root, 'bin/k3s-lite.js'),
      units: path.join(root, 'units'),
      kubectl: path.join(programs, 'kubectl'),
      programs,
      env: { XDG_CACHE_HOME: path.join(root, 'cache') },
      [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
    };
  } catch (error) {
    rmSync(root, { recursive: true, force: true });
    throw error;
  }
}

/** Only when the sources have changed since the last time. */
function build(): void {
  const script = `import { buildSources } from './scripts/setup/sources.mjs'; await buildSources(process.cwd());`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    cwd: source,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`\`npm run build\` failed:\n${stdout}${stderr}`);
}

/** Hard links, because the programs are large; copies where the file system is another. */
function linkFolder(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from)) {
    const [file, copy] = [path.join(from, name), path.join(to, name)];
    if (lstatSync(file).isSymbolicLink()) symlinkSync(readlinkSync(file), copy);
    else {
      try {
        linkSync(file, copy);
      } catch {
        copyFileSync(file, copy);
      }
    }
  }
}
