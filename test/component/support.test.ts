import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { manifest } from '../../src/component/manifest.ts';
import { modulesFolder } from '../../src/component/places.ts';
import { checkSupport } from '../../src/component/support.ts';
import { compareVersions, parseVersion } from '../../src/component/version.ts';

describe('versions', () => {
  test.each([
    ['1.1.5+ds1', { major: 1, minor: 1, patch: 5 }],
    ['v1.36.3-k3s1', { major: 1, minor: 36, patch: 3 }],
    ['go1.26', { major: 1, minor: 26, patch: 0 }],
    ['unknown', undefined],
  ])('%s', (text, expected) => {
    expect(parseVersion(text)).toEqual(expected);
  });

  test('numbers are compared as numbers', () => {
    const [ten, nine] = [parseVersion('1.10.0'), parseVersion('1.9.9')];
    expect(ten && nine && compareVersions(ten, nine)).toBeGreaterThan(0);
  });
});

describe('rules', () => {
  const rule = (name: string) => {
    const programs = [...manifest.artefacts.flatMap((artefact) => artefact.programs), ...manifest.distribution];
    return programs.find((program) => program.name === name)?.rule ?? { kind: 'any' as const };
  };

  test.each([
    ['containerd', '2.2.9', true],
    ['containerd', '1.6.20', false],
    ['containerd', '3.0.0', false],
    ['etcd', '3.6.8', true],
    ['etcd', '3.5.24', true],
    ['etcd', '3.4.30', false],
    ['runc', '1.1.5+ds1', true],
    ['runc', '1.0.3', false],
    ['kubelet', '1.36.9', true],
    ['kubelet', '1.33.0', true],
    ['kubelet', '1.32.9', false],
    ['kubelet', '1.37.0', false],
    ['kube-controller-manager', '1.35.0', true],
    ['kube-controller-manager', '1.34.0', false],
    ['kubectl', '1.37.0', true],
    ['kubectl', '1.38.0', false],
    ['kube-apiserver', '1.33.0', false],
    ['bridge', undefined, true],
    ['containerd', undefined, false],
  ])('%s %s beside kube-apiserver 1.36.3: %s', (name, version, supported) => {
    expect(checkSupport(rule(name), version, '1.36.3').supported).toBe(supported);
  });
});

describe('the manifest', () => {
  test('every name is there once', () => {
    const names = [...manifest.artefacts.flatMap((artefact) => artefact.programs), ...manifest.distribution].map(
      ({ name }) => name,
    );
    expect(names).toHaveLength(new Set(names).size);
  });

  test.each(manifest.artefacts)('the programs of $name are the files and links that its build makes', (artefact) => {
    const files =
      artefact.output === undefined ? artefact.packages.map((each) => each.split('/').at(-1)) : [artefact.output];
    const made = artefact.links ?? files;
    expect(artefact.programs.map(({ name }) => name).sort()).toEqual([...made].sort());
  });

  test.each([
    ['kubernetes', 'k8s.io/kubernetes', 'kube-apiserver'],
    ['kubernetes', 'go.etcd.io/etcd/server/v3', 'etcd'],
    ['containerd', 'github.com/containerd/containerd/v2', 'containerd'],
    ['containerd', 'github.com/containernetworking/plugins', 'bridge'],
    ['coredns', 'github.com/coredns/coredns', 'coredns'],
  ])('components/%s/go.mod requires %s in the version that the manifest says of %s', (module, dependency, program) => {
    const goMod = readFileSync(`${modulesFolder()}/${module}/go.mod`, 'utf8');
    const required = new RegExp(`^\\s*(?:require )?${dependency.replaceAll('.', '\\.')} v(\\S+)`, 'm').exec(goMod)?.[1];
    const builds = manifest.artefacts.flatMap(({ programs }) => programs).find(({ name }) => name === program)?.builds;
    expect(required).toBe(builds);
  });
});
