/** What the entrypoint units mount, in mount namespaces of the test's own. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { cgroupMountsBuiltin, mountsFor, parseCgroups } from '../../../src/cluster/container/cgroup-mounts.ts';
import { dataVolumeBuiltin, mountOf } from '../../../src/cluster/container/data-volume.ts';
import { machineIdBuiltin } from '../../../src/cluster/container/machine-id.ts';
import { productUuidBuiltin, uuidOf } from '../../../src/cluster/container/product-uuid.ts';
import { runTmpfsBuiltin } from '../../../src/cluster/container/run-tmpfs.ts';
import { sharedMountsBuiltin } from '../../../src/cluster/container/shared-mounts.ts';
import { temporaryFolder } from '../settings-kit.ts';
import { isRoot, namespaces } from './namespaces.ts';

describe.skipIf(!isRoot)('[C5] shared mounts', () => {
  test('private mounts become shared, and a second run finds them so', async () => {
    const container = await namespaces('mount');
    expect(container.mounts().some(({ isShared }) => isShared)).toBe(false);
    const [first] = await container.run(sharedMountsBuiltin(container.place));
    expect(first).toMatch(/^made \d+ private mounts shared/);
    expect(container.mounts().every(({ isShared }) => isShared)).toBe(true);
    expect(await container.run(sharedMountsBuiltin(container.place))).toEqual([
      expect.stringMatching(/^all \d+ mounts are shared already$/),
    ]);
  });
});

describe('[C5] cgroup mounts', () => {
  test('a v2 machine has one mount; a hybrid one a tmpfs with a folder for each hierarchy', () => {
    expect(mountsFor([''])).toEqual([['-t', 'cgroup2', 'cgroup2', '/sys/fs/cgroup']]);
    expect(mountsFor(['cpu,cpuacct', 'name=systemd', ''])).toEqual([
      ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', '/sys/fs/cgroup'],
      ['-t', 'cgroup', '-o', 'cpu,cpuacct', 'cgroup', '/sys/fs/cgroup/cpu,cpuacct'],
      ['-t', 'cgroup', '-o', 'none,name=systemd', 'cgroup', '/sys/fs/cgroup/systemd'],
      ['-t', 'cgroup2', 'cgroup2', '/sys/fs/cgroup/unified'],
    ]);
  });

  test('paths with colons are read whole', () => {
    expect(parseCgroups('3:memory:/a:b\n0::/\n')).toEqual([
      { controllers: 'memory', path: '/a:b' },
      { controllers: '', path: '/' },
    ]);
  });

  test.skipIf(!isRoot)('where none are mounted they are, as this kernel has them; then nothing is done', async () => {
    const container = await namespaces('mount', 'cgroup');
    const kinds = () =>
      container
        .mounts()
        .filter(({ point }) => point.startsWith('/sys/fs/cgroup'))
        .map(({ point, type }) => `${type} ${point}`)
        .sort();
    const before = kinds();
    container.inside('umount', '--recursive', '/sys/fs/cgroup');
    expect(kinds()).toEqual([]);
    const lines = await container.run(cgroupMountsBuiltin(container.place));
    expect(lines.join('\n')).toContain('found no cgroup mounts; mounted ');
    expect(kinds().length).toBe(before.length);
    expect(existsSync(`${container.place.root}/sys/fs/cgroup/unified/cgroup.procs`)).toBe(
      before.some((line) => line.endsWith('/unified')),
    );
    const again = await container.run(cgroupMountsBuiltin(container.place));
    expect(again.at(-1)).toMatch(/^found \d+ cgroup mounts below \/sys\/fs\/cgroup$/);
  });

  test.skipIf(!isRoot)('read-only ones are made writable', async () => {
    const container = await namespaces('mount', 'cgroup');
    const point = container.mounts().find(({ type }) => type === 'cgroup2')?.point ?? '';
    container.inside('mount', '-o', 'remount,bind,ro', point);
    const lines = await container.run(cgroupMountsBuiltin(container.place));
    expect(lines.at(-1)).toContain('made 1 of them writable');
    expect(container.mounts().find((mount) => mount.point === point)?.isReadOnly).toBe(false);
  });

  test.skipIf(!isRoot)('the host’s own tree is told from one of the container', async () => {
    const container = await namespaces('mount');
    const proc = temporaryFolder();
    writeFileSync(path.join(proc, 'cgroup'), '0::/docker/0123abcd\n');
    writeFileSync(path.join(proc, 'mountinfo'), '36 35 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n');
    const lines = await container.run(cgroupMountsBuiltin({ root: '', proc }));
    expect(lines[0]).toContain('--cgroupns=private');
  });
});

describe.skipIf(!isRoot)('[C5] a tmpfs on /run', () => {
  test('what was there is hidden, k3s-lite’s own folder and mounts of the engine stay', async () => {
    const container = await namespaces('mount');
    const { inside, place, run } = container;
    const source = temporaryFolder();
    // A /run on the "image’s layer": a folder of a file system that is bound over /, as an engine does it.
    inside('mount', '--bind', source, '/srv');
    inside('mkdir', '-p', '/srv/k3s-lite/default', '/srv/secrets', '/srv/stale');
    const layer = { root: place.root, proc: temporaryFolder() };
    const asRun = (text: string) => text.replaceAll(' /srv/', ' /run/');
    inside('mount', '-t', 'tmpfs', 'tmpfs', '/srv/secrets');
    inside('touch', '/srv/secrets/token', '/srv/k3s-lite/default/control.sock');
    inside('mount', '--rbind', '/srv', '/run');
    // Seen by the builtin: no mount at /run itself, which a bind is the only way to have here.
    const lines = readFileSync(`${place.proc}/mountinfo`, 'utf8').split('\n');
    const shown = lines.filter((line) => !/ \/(?:run|srv) /.test(line)).map(asRun);
    writeFileSync(path.join(layer.proc, 'mountinfo'), shown.join('\n'));

    const said = await run(runTmpfsBuiltin(layer, ['/run/k3s-lite']));
    expect(said.at(-1)).toContain('a tmpfs now');
    expect(inside('ls', '/run').split('\n').filter(Boolean)).toEqual(['k3s-lite', 'secrets']);
    expect(inside('ls', '/run/secrets', '/run/k3s-lite/default')).toContain('control.sock');
    expect(inside('ls', '/run/secrets')).toBe('token\n');
    expect(container.mounts().findLast(({ point }) => point === '/run')?.type).toBe('tmpfs');
    expect(await run(runTmpfsBuiltin(place, ['/run/k3s-lite']))).toEqual([
      expect.stringContaining('/run is a mount of its own'),
    ]);
    expect(inside('ls', '/')).not.toContain('k3s-lite-run-');
  });
});

describe.skipIf(!isRoot)('[C5] identity', () => {
  test('a machine-id is made, kept on the volume, and the same in the next container', async () => {
    const dataDir = temporaryFolder();
    const start = async (imageId: string) => {
      const { inside, place, run } = await namespaces('mount');
      inside('mount', '-t', 'tmpfs', 'tmpfs', '/etc');
      if (imageId !== '') writeFileSync(`${place.root}/etc/machine-id`, `${imageId}\n`);
      const lines = await run(machineIdBuiltin(place, dataDir));
      return { lines, id: readFileSync(`${place.root}/etc/machine-id`, 'utf8').trim(), place, run };
    };
    const first = await start('');
    expect(first.id).toMatch(/^[0-9a-f]{32}$/);
    expect(first.lines[0]).toContain('was not set');
    expect(await first.run(machineIdBuiltin(first.place, dataDir))).toEqual([`/etc/machine-id is ${first.id}`]);
    const next = await start('0123456789abcdef0123456789abcdef');
    expect(next.id).toBe(first.id);
    expect(next.lines[0]).toContain('as before on this volume');
  });

  test('the firmware’s UUID is covered by one of the node’s own, once', async () => {
    const dataDir = temporaryFolder();
    const firmware = path.join(dataDir, 'product_uuid');
    writeFileSync(firmware, 'ec2f3a1c-0000-0000-0000-000000000000\n');
    const container = await namespaces('mount');
    container.inside('mount', '-t', 'tmpfs', 'tmpfs', '/etc');
    writeFileSync(`${container.place.root}/etc/machine-id`, '0123456789abcdef0123456789abcdef\n');
    const builtin = productUuidBuiltin(container.place, path.join(dataDir, 'data'), firmware);
    expect((await container.run(builtin)).at(-1)).toContain("the host's; it is 01234567-89ab-8def-a123-456789abcdef");
    expect(container.inside('cat', firmware)).toBe('01234567-89ab-8def-a123-456789abcdef\n');
    expect(readFileSync(firmware, 'utf8')).toContain('ec2f3a1c');
    expect(await container.run(builtin)).toEqual(['product_uuid is 01234567-89ab-8def-a123-456789abcdef']);
  });

  test('without such firmware there is nothing that could clash', async () => {
    const container = await namespaces('mount');
    const lines = await container.run(productUuidBuiltin(container.place, temporaryFolder(), '/no/such/file'));
    expect(lines[0]).toContain('nothing that could clash');
  });

  test('the UUID is one of RFC 9562, version 8', () => {
    expect(uuidOf('f'.repeat(32))).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});

describe.skipIf(!isRoot)('[C5] the data directory on an overlay', () => {
  test('is refused with the remedy; on a volume it passes', async () => {
    const base = temporaryFolder();
    for (const name of ['lower', 'upper', 'work', 'merged', 'volume']) mkdirSync(path.join(base, name));
    const container = await namespaces('mount');
    const at = (name: string) => path.join(base, name);
    // The layers of an overlay cannot lie on an overlay, so on a test machine that is one they lie on a tmpfs.
    container.inside('mount', '-t', 'tmpfs', 'tmpfs', base);
    container.inside('mkdir', at('lower'), at('upper'), at('work'), at('merged'));
    const layers = `lowerdir=${at('lower')},upperdir=${at('upper')},workdir=${at('work')}`;
    container.inside('mount', '-t', 'overlay', '-o', layers, 'overlay', at('merged'));
    const dataDir = at('merged/data');
    container.inside('mkdir', dataDir);
    const builtin = dataVolumeBuiltin(container.place, dataDir);
    await expect(container.run(builtin)).rejects.toThrow(`mount a volume there: --volume NAME:${dataDir}`);
    container.inside('mount', '-t', 'tmpfs', 'volume', dataDir);
    expect(await container.run(builtin)).toEqual([`${dataDir} lies on tmpfs (volume)`]);
    onTestFinished(() => rmSync(base, { recursive: true, force: true }));
  });

  test('the mount of a path is the last one on the longest point', () => {
    const mount = (point: string, type: string) => ({ point, type, source: '', isReadOnly: false, isShared: false });
    const mounts = [mount('/', 'overlay'), mount('/var', 'ext4'), mount('/var', 'xfs'), mount('/var2', 'tmpfs')];
    expect(mountOf('/var/lib', mounts)?.type).toBe('xfs');
    expect(mountOf('/var2', mounts)?.type).toBe('tmpfs');
    expect(mountOf('/usr', mounts)?.type).toBe('overlay');
  });
});
