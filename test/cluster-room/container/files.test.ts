/** What the entrypoint units make besides mounts: devices, files, cgroups, the flavour of iptables. */
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, readlinkSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { cgroupNestingBuiltin, enableControllers, evacuate } from '../../../src/cluster/container/cgroup-nesting.ts';
import { flavourOf, iptablesFlavourBuiltin, ruleCount } from '../../../src/cluster/container/iptables-flavour.ts';
import { kmsgBuiltin } from '../../../src/cluster/container/kmsg.ts';
import { missingHosts, resolvConfBuiltin } from '../../../src/cluster/container/resolv-conf.ts';
import { readMounts } from '../../../src/cluster/mountinfo.ts';
import { temporaryFolder } from '../settings-kit.ts';
import { isRoot, logged, namespaces } from './namespaces.ts';

describe.skipIf(!isRoot)('[C5] /dev/kmsg', () => {
  test('is made where it is missing', async () => {
    const { inside, place, run } = await namespaces('mount');
    inside('mount', '-t', 'tmpfs', 'tmpfs', '/dev');
    expect(await run(kmsgBuiltin(place))).toEqual(['/dev/kmsg was not there (ENOENT); made it']);
    expect(inside('stat', '--format=%F %t:%T', '/dev/kmsg')).toBe('character special file 1:b\n');
    expect(await run(kmsgBuiltin(place))).toEqual(['/dev/kmsg can be read']);
  });

  test('where the device is refused the console stands in; without one the error names the remedy', async () => {
    const { inside, place, run } = await namespaces('mount');
    // nodev refuses as a device cgroup without the rule does.
    inside('mount', '-t', 'tmpfs', '-o', 'nodev', 'tmpfs', '/dev');
    await expect(run(kmsgBuiltin(place))).rejects.toThrow('--device /dev/kmsg');
    expect(existsSync(`${place.root}/dev/kmsg`)).toBe(false);
    writeFileSync(`${place.root}/dev/console`, '');
    expect((await run(kmsgBuiltin(place)))[0]).toContain('a link to /dev/console instead');
    expect(readlinkSync(`${place.root}/dev/kmsg`)).toBe('/dev/console');
  });
});

describe('[C5] cgroup nesting', () => {
  const unified = readMounts().find(({ type }) => type === 'cgroup2')?.point;

  test.skipIf(!isRoot || unified === undefined)('every process of the root moves to `init` below it', async () => {
    const tree = path.join(unified ?? '', `k3s-lite-test-${String(process.pid)}`);
    mkdirSync(tree);
    const sleepers = [1, 2, 3].map(() => spawn('sleep', ['600'], { stdio: 'ignore' }));
    onTestFinished(async () => {
      for (const sleeper of sleepers) sleeper.kill('SIGKILL');
      await expect.poll(() => readFileSync(path.join(tree, 'init/cgroup.procs'), 'utf8')).toBe('');
      rmdirSync(path.join(tree, 'init'));
      rmdirSync(tree);
    });
    for (const { pid } of sleepers) writeFileSync(path.join(tree, 'cgroup.procs'), String(pid));
    expect(await evacuate(tree)).toBe(3);
    const pids = (folder: string) =>
      readFileSync(path.join(folder, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean);
    expect(pids(tree)).toEqual([]);
    expect(pids(path.join(tree, 'init')).map(Number).sort()).toEqual(sleepers.map(({ pid }) => pid).sort());
    expect(await evacuate(tree)).toBe(0);
  });

  test('controllers that the children lack are enabled one by one', async () => {
    const tree = temporaryFolder();
    writeFileSync(path.join(tree, 'cgroup.controllers'), 'cpuset cpu memory\n');
    writeFileSync(path.join(tree, 'cgroup.subtree_control'), 'cpu memory\n');
    expect(await enableControllers(tree)).toEqual({ enabled: ['cpuset'], refused: [] });
    expect(readFileSync(path.join(tree, 'cgroup.subtree_control'), 'utf8')).toBe('+cpuset');
  });

  test('a hybrid machine is left alone', async () => {
    const proc = temporaryFolder();
    writeFileSync(path.join(proc, 'mountinfo'), '41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n');
    const lines = await logged(cgroupNestingBuiltin({ root: '', proc }), () => ({ code: 0, output: '' }));
    expect(lines).toEqual(['cgroup v1: nothing to move']);
  });
});

describe('[C5] names', () => {
  const names = { nodeName: 'node1', nodeIp: '192.0.2.10' };

  test('only what /etc/hosts lacks is added', () => {
    expect(missingHosts('127.0.0.1 localhost # node1\n', names)).toEqual(['192.0.2.10 node1']);
    expect(missingHosts('', names)).toEqual(['127.0.0.1 localhost', '::1 localhost', '192.0.2.10 node1']);
    expect(missingHosts('10.0.0.1 node1 n\n::1 localhost ip6\n', names)).toEqual([]);
  });

  test('an empty /etc gets both files, a second run changes nothing', async () => {
    const root = temporaryFolder();
    mkdirSync(path.join(root, 'etc'));
    const run = () => logged(resolvConfBuiltin({ root, proc: '' }, names), () => ({ code: 0, output: '' }));
    expect((await run()).at(-1)).toContain('no resolver in /etc/resolv.conf');
    const hosts = readFileSync(path.join(root, 'etc/hosts'), 'utf8');
    expect(hosts).toBe('127.0.0.1 localhost\n::1 localhost\n192.0.2.10 node1\n');
    writeFileSync(path.join(root, 'etc/resolv.conf'), 'nameserver 127.0.0.11\n');
    expect(await run()).toEqual(['the resolver 127.0.0.11 is on loopback: cluster DNS asks it, pods ask cluster DNS']);
    expect(readFileSync(path.join(root, 'etc/hosts'), 'utf8')).toBe(hosts);
  });
});

describe('[C5] the flavour of iptables', () => {
  test('rules and chains of one’s own count, built-in chains do not', () => {
    expect(ruleCount('*nat\n:INPUT ACCEPT [0:0]\n:DOCKER_OUTPUT - [0:0]\n-A OUTPUT -j DOCKER_OUTPUT\nCOMMIT\n')).toBe(
      2,
    );
    expect(flavourOf('iptables v1.8.9 (nf_tables)')).toBe('nft');
    expect(flavourOf('iptables v1.6.1')).toBe('legacy');
    expect(flavourOf('sh: not found')).toBeUndefined();
  });

  test('without iptables there is nothing to choose', async () => {
    const lines = await logged(iptablesFlavourBuiltin(), () => ({ code: 127, output: '' }));
    expect(lines).toEqual(['there is no iptables: nothing to choose']);
  });

  const alternatives = ['/etc/alternatives', '/var/lib/dpkg/alternatives'];
  const hasBoth = ['/usr/sbin/iptables-legacy', '/usr/sbin/iptables-nft', ...alternatives].every(existsSync);

  test.skipIf(!isRoot || !hasBoth)('legacy rules that are there already decide; then it stays so', async () => {
    const { inside, run } = await namespaces('mount', 'net');
    // Its own copies of what `update-alternatives` changes.
    for (const folder of alternatives) {
      const copy = temporaryFolder();
      cpSync(folder, copy, { recursive: true, verbatimSymlinks: true });
      inside('mount', '--bind', copy, folder);
    }
    inside('update-alternatives', '--set', 'iptables', '/usr/sbin/iptables-nft');
    expect((await run(iptablesFlavourBuiltin()))[0]).toMatch(/^iptables is nft/);
    inside('iptables-legacy', '-A', 'OUTPUT', '-j', 'ACCEPT');
    expect((await run(iptablesFlavourBuiltin()))[0]).toMatch(
      /^iptables was nft and is legacy now \(nft: 0 rules, legacy: 1 rules\)/,
    );
    expect(inside('iptables', '--version')).toContain('(legacy)');
    expect((await run(iptablesFlavourBuiltin()))[0]).toMatch(/^iptables is legacy/);
  });
});
