import { mkdirSync, readFileSync, utimesSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { findComponents, type FindOptions } from '../../src/component/find.ts';
import { kubernetesVersion, type Manifest, manifest, type ProgramSpec } from '../../src/component/manifest.ts';
import { type ComponentReport, programFolders, requirePrograms } from '../../src/component/report.ts';
import { buildComponents } from '../../src/component/build.ts';
import { goFixture, hello } from './go-fixture.ts';
import { temporaryFolder, type TemporaryFolder } from './temporary.ts';

const containerd: ProgramSpec = {
  name: 'containerd',
  role: 'node',
  version: { args: ['--version'], pattern: /containerd v(\S+)/ },
  rule: { kind: 'range', atLeast: '2.0.0', because: 'Kubernetes needs containerd 2.x' },
};
const only = (...programs: ProgramSpec[]): Manifest => ({
  artefacts: [{ ...hello, name: 'containerd', programs }],
  distribution: [],
});

/** A machine with four places for programs, all of them under one temporary folder. */
function machine(folder: TemporaryFolder, manifest: Manifest): FindOptions {
  for (const place of ['bin', 'data/bin', 'path', 'modules/hello'])
    mkdirSync(path.join(folder.path, place), { recursive: true });
  return {
    env: { PATH: `${path.join(folder.path, 'path')}:/usr/bin:/bin` },
    binDir: path.join(folder.path, 'bin'),
    dataDir: path.join(folder.path, 'data'),
    cache: path.join(folder.path, 'cache'),
    modules: path.join(folder.path, 'modules'),
    manifest,
  };
}

const runs = (folder: TemporaryFolder) =>
  readFileSync(path.join(folder.path, 'runs'), 'utf8').trim().split('\n').length;
const named = (report: ComponentReport, name: string) => report.programs.find(({ program }) => program === name);

test('--bin-dir comes before the data directory, and that before PATH', async () => {
  using folder = temporaryFolder();
  const options = machine(folder, only(containerd));
  folder.program('path/containerd', 'containerd v2.0.0');
  expect(named(await findComponents(options), 'containerd')).toMatchObject({ origin: 'path', version: '2.0.0' });
  folder.program('data/bin/containerd', 'containerd v2.1.0');
  expect(named(await findComponents(options), 'containerd')).toMatchObject({ origin: 'data-dir', version: '2.1.0' });
  folder.program('bin/containerd', 'containerd v2.2.0');
  expect(named(await findComponents(options), 'containerd')).toMatchObject({
    origin: 'bin-dir',
    version: '2.2.0',
    path: path.join(folder.path, 'bin/containerd'),
    support: { supported: true },
  });
});

test('our own build in the cache comes before PATH, and its version is known without running it', async () => {
  using fixture = goFixture();
  const { folder, options } = fixture;
  await buildComponents(options);
  folder.program('path/hello', 'hello v9.9.9');
  const report = await findComponents({
    ...options,
    env: { PATH: path.join(folder.path, 'path') },
    manifest: { artefacts: [hello], distribution: [] },
  });
  expect(named(report, 'hola')).toMatchObject({ origin: 'cache', version: '1.2.3' });
  expect(named(report, 'hello')).toMatchObject({ origin: 'cache', version: '1.2.3' });
  expect(programFolders(report)).toHaveLength(1);
});

test('a truncated build in the cache is not used', async () => {
  using fixture = goFixture();
  const [built] = await buildComponents(fixture.options);
  fixture.folder.write(path.relative(fixture.folder.path, path.join(built?.folder ?? '', 'hello')), 'half');
  const report = await findComponents({
    ...fixture.options,
    env: { PATH: '/nonexistent' },
    manifest: { artefacts: [hello], distribution: [] },
  });
  expect(report.programs.map(({ status }) => status)).toEqual(['missing', 'missing']);
});

test('a version is asked once: the answer holds until the file changes', async () => {
  using folder = temporaryFolder();
  const options = machine(folder, only(containerd));
  const file = folder.program('path/containerd', 'containerd v2.0.0');
  await findComponents(options);
  const again = await findComponents(options);
  expect(named(again, 'containerd')).toMatchObject({ version: '2.0.0' });
  expect(runs(folder)).toBe(1);
  utimesSync(file, new Date(0), new Date(0));
  await findComponents(options);
  expect(runs(folder)).toBe(2);
});

test('an unsupported version on PATH is reported with the reason', async () => {
  using folder = temporaryFolder();
  const options = machine(folder, only(containerd));
  folder.program('path/containerd', 'containerd v1.6.20');
  const report = await findComponents(options);
  expect(named(report, 'containerd')).toMatchObject({
    version: '1.6.20',
    support: { supported: false, reason: 'Kubernetes needs containerd 2.x' },
  });
  expect(() => requirePrograms(report, ['containerd'])).toThrow(
    `cannot start the cluster: ${folder.path}/path/containerd is containerd 1.6.20, but Kubernetes needs containerd 2.x`,
  );
});

test('an unsupported version is passed over for a supported one further on, and named', async () => {
  using folder = temporaryFolder();
  const options = machine(folder, only(containerd));
  folder.program('data/bin/containerd', 'containerd v1.6.20');
  folder.program('path/containerd', 'containerd v2.0.0');
  expect(named(await findComponents(options), 'containerd')).toMatchObject({
    origin: 'path',
    passedOver: [`${folder.path}/data/bin/containerd (1.6.20): Kubernetes needs containerd 2.x`],
  });
});

test('what --bin-dir names is taken at its word, even if unsupported', async () => {
  using folder = temporaryFolder();
  const options = machine(folder, only(containerd));
  folder.program('bin/containerd', 'containerd v1.6.20');
  folder.program('path/containerd', 'containerd v2.0.0');
  expect(named(await findComponents(options), 'containerd')).toMatchObject({
    origin: 'bin-dir',
    support: { supported: false },
  });
});

test("another program of the same name (iproute2's bridge) is not taken for ours", async () => {
  using folder = temporaryFolder();
  const bridge = manifest.artefacts.flatMap(({ programs }) => programs).find(({ name }) => name === 'bridge');
  if (bridge === undefined) throw new Error('no bridge');
  const options = machine(folder, only({ ...bridge, alsoIn: [] }));
  folder.program('path/bridge', 'Usage: bridge [ OPTIONS ] OBJECT');
  expect(named(await findComponents(options), 'bridge')).toMatchObject({ support: { supported: false } });
  folder.program('path/bridge', 'CNI bridge plugin version unknown');
  expect(named(await findComponents(options), 'bridge')).toMatchObject({ support: { supported: true } });
});

test('a missing program tells where it was looked for and how to get it', async () => {
  using folder = temporaryFolder();
  const runc: ProgramSpec = { ...containerd, name: 'no-such-runc' };
  const options = machine(folder, {
    ...only({ ...containerd, name: 'no-such-shim' }),
    distribution: [{ ...runc, package: 'runc' }],
  });
  const report = await findComponents(options);
  expect(named(report, 'no-such-shim')).toMatchObject({
    status: 'missing',
    remedy: 'k3s-lite components build containerd',
    lookedIn: expect.arrayContaining([options.binDir, options.cache]) as string[],
  });
  expect(named(report, 'no-such-runc')).toMatchObject({
    remedy: 'install the package runc (Debian and Ubuntu: apt-get install runc)',
  });
  expect(() => requirePrograms(report, ['no-such-shim', 'no-such-runc'])).toThrow(
    'cannot start the cluster: no-such-shim is missing; no-such-runc is missing',
  );
});

test('the skew of the others is measured against the kube-apiserver that is there', async () => {
  using folder = temporaryFolder();
  const kubernetes = manifest.artefacts.filter(({ name }) => name === 'kubernetes');
  const options = machine(folder, {
    artefacts: kubernetes.map((each) => ({ ...each, module: 'hello' })),
    distribution: [],
  });
  folder.program('bin/kube-apiserver', 'Kubernetes v1.35.4');
  folder.program('bin/kubelet', 'Kubernetes v1.36.0');
  folder.program('bin/kube-scheduler', 'Kubernetes v1.34.9');
  const report = await findComponents(options);
  expect(report.kubernetesVersion).toBe('1.35.4');
  expect(named(report, 'kubelet')).toMatchObject({
    support: { supported: false, reason: 'kube-apiserver 1.35.4 works with 1.32 to 1.35' },
  });
  expect(named(report, 'kube-scheduler')).toMatchObject({ support: { supported: true } });
  expect(kubernetesVersion).not.toBe(report.kubernetesVersion);
});
