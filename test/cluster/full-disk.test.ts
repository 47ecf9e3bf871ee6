/**
 * The real control plane on a disk that fills up and is given room again. etcd ends itself when it
 * cannot write; nobody else does.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { smallDisk } from '../kit/small-disk.ts';
import { createCluster } from './kit/cluster.ts';
import { install, type Installation } from './kit/installation.ts';
import { quickLimit, shippedUnit } from './kit/shipped-unit.ts';
import { isRoot } from './kit/user.ts';

let installation: Installation;
beforeAll(async () => {
  installation = await install();
});
afterAll(() => installation[Symbol.dispose]());

/** Room for the datastore: etcd sets 64 MiB aside for each of two logs. */
const sizeMiB = 300;

test.skipIf(!isRoot)(
  '[C5] a full disk under etcd: that is said, the others run on, and all work when there is room',
  async () => {
    await using cluster = await createCluster({ installation });
    using disk = smallDisk(cluster.paths.dataDir, sizeMiB);
    const overlay = cluster.unitFolder('units', { etcd: shippedUnit(installation, 'etcd', quickLimit) });
    const up = cluster.up(['--disable-agent', '--units', installation.units, '--units', overlay]);
    await up.events.ready();
    const others = async () =>
      (await cluster.status()).units
        .filter(({ unit }) => unit !== 'etcd')
        .map(({ unit, state, pid, restarts }) => ({ unit, state, pid, restarts }));
    const before = await others();
    let written = 0;
    /** 100 kB of data. */
    const write = () => {
      written += 1;
      const data = `--from-literal=data=${'x'.repeat(100_000)}`;
      return cluster.kubectl('create', 'configmap', `data-${written}`, data, '--request-timeout=2s');
    };

    disk.fill();
    const since = up.events.count;
    // A few writes still find room in what etcd has set aside.
    await expect.poll(async () => (await write()).code, { timeout: 30_000 }).not.toBe(0);
    await up.events.state('etcd', 'failed', since);
    expect(up.events.error('etcd')).toMatchObject({
      code: 'ERR_EXITED',
      reason: expect.stringContaining('no space left on device') as string,
      hint: expect.stringContaining('the file system is full') as string,
    });
    expect((await cluster.run('why', 'etcd')).out).toContain('the file system is full');
    expect(await others()).toEqual(before);

    const full = up.events.count;
    disk.free();
    await up.events.ready(full);
    await expect.poll(async () => (await write()).err, { timeout: 30_000 }).toBe('');
    expect(await others()).toEqual(before);
    expect((await up.interrupt()).code).toBe(0);
    expect(await cluster.traces()).toEqual([]);
  },
);
