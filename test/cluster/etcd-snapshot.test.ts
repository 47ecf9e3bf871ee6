/**
 * Snapshots of real members: saved whole or not at all, by schedule, and restored by the command on
 * a data directory of k3s-lite, whose `up` has etcd alone.
 *
 *   certificates ─► etcd ─► etcd-snapshots (with a schedule)
 */
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { etcdClientOf } from '../../src/app/etcd-of.ts';
import { restoreSnapshot } from '../../src/cluster/etcd/restore-snapshot.ts';
import { saveSnapshot, verifySnapshot } from '../../src/cluster/etcd/save-snapshot.ts';
import { serveSnapshots } from '../../src/cluster/etcd/serve-snapshots.ts';
import { listSnapshots } from '../../src/cluster/etcd/snapshot-folder.ts';
import { systemClock, type Clock } from '../../src/kernel/clock.ts';
import { createCluster, type Cluster } from './kit/cluster.ts';
import { etcdMembers, type EtcdMembers } from './kit/etcd-members.ts';
import { install, type Installation } from './kit/installation.ts';

const { signal } = new AbortController();
const jsonSchema = z.looseObject({ name: z.string(), file: z.string(), sizeBytes: z.number() });

describe('a snapshot of a member', () => {
  let etcd: EtcdMembers;
  let folder: string;
  const save = (name = 'on-demand', clock: Clock = systemClock) => {
    const { clientUrl: endpoint } = etcd.member(0);
    return saveSnapshot({
      client: etcd.client([etcd.member(0)]),
      endpoint,
      folder,
      name,
      nodeName: 'm1',
      clock,
      signal,
    });
  };
  beforeAll(async () => {
    etcd = await etcdMembers(1);
    folder = path.join(etcd.folder, 'snapshots');
    etcd.member(0).start(etcd.members);
    await etcd.ready();
  });
  afterAll(() => etcd[Symbol.asyncDispose]());

  test('is a private file with a record, whose hash is right, and nothing else is left', async () => {
    const saved = await save();
    expect(statSync(saved.file).mode & 0o777).toBe(0o600);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(saved.record).toMatchObject({ nodeName: 'm1', etcdVersion: '3.6.8', sizeBytes: statSync(saved.file).size });
    expect(await verifySnapshot(saved.file, signal)).toBe(saved.record?.sha256);
    expect(readdirSync(folder).sort()).toEqual([saved.name, `${saved.name}.json`]);
    expect(await listSnapshots(folder)).toEqual([saved]);
    // The same second, the same name.
    const sameTime = { ...systemClock, wallMs: () => saved.createdMs };
    await expect(save('on-demand', sameTime)).rejects.toMatchObject({ code: 'ERR_SNAPSHOT' });
    await expect(save('../escape')).rejects.toMatchObject({ code: 'ERR_SNAPSHOT' });
  });

  test('that cannot be saved leaves nothing behind and says why', async () => {
    const before = readdirSync(folder);
    const { clientUrl: endpoint } = etcd.member(0);
    const real = etcd.client();
    // What a member sends that is cut off in the middle.
    const client = {
      ...real,
      snapshot: (take: Parameters<typeof real.snapshot>[0]) => take({ blob: Buffer.alloc(1024), remainingBytes: 0 }),
    };
    const cut = saveSnapshot({ client, endpoint, folder, name: 'cut', nodeName: 'm1', clock: systemClock, signal });
    await expect(cut).rejects.toMatchObject({
      code: 'ERR_SNAPSHOT',
      message: expect.stringContaining('cut short') as unknown,
    });
    expect(readdirSync(folder)).toEqual(before);
  });

  test('comes by schedule, the newest of its name stay, and a failure is warned of and tried again the next time', async () => {
    const scheduled = path.join(etcd.folder, 'scheduled');
    const notified: string[] = [];
    let wallMs = 1_700_000_000_000;
    // Sleeps end at once and have taken as long as they were to: an hour passes in the time of a snapshot.
    const clock: Clock = {
      ...systemClock,
      wallMs: () => wallMs,
      timer: (delayMs, fire) => {
        wallMs += delayMs;
        return systemClock.soon(fire);
      },
    };
    const controller = new AbortController();
    let failing = 0;
    const real = etcd.client();
    const client: typeof real = {
      ...real,
      status: (...given) => (++failing === 2 ? Promise.reject(new Error('gone')) : real.status(...given)),
    };
    const served = serveSnapshots({
      ...{ client, endpoint: etcd.member(0).clientUrl, folder: scheduled, name: 'etcd-snapshot', nodeName: 'm1' },
      ...{ retention: 3, clock, log: () => undefined, signal: controller.signal },
      schedule: { nextMs: (afterMs) => Math.floor(afterMs / 3_600_000 + 1) * 3_600_000 },
      notify(...lines) {
        notified.push(...lines);
        if (notified.filter((line) => line.startsWith('STATUS=')).length > 6) controller.abort(new Error('enough'));
      },
    });
    await expect(served).rejects.toThrow('enough');
    expect(notified[0]).toBe('READY=1');
    expect(notified.filter((line) => line.startsWith('X_WARNING='))).toEqual([
      'X_WARNING=cannot save a snapshot of etcd: gone',
    ]);
    const kept = await listSnapshots(scheduled);
    expect(kept).toHaveLength(3);
    const hours = kept.map(({ createdMs }) => Math.floor(createdMs / 3_600_000));
    expect(hours).toEqual([hours[0], (hours[0] ?? 0) - 1, (hours[0] ?? 0) - 2]);
    expect(readdirSync(scheduled)).toHaveLength(6);
  });

  test('is restored as a cluster of one with all that was in it; a damaged one is refused, and nothing has changed', async () => {
    const client = etcd.client();
    await client.put('before', 'yes', signal);
    const { file } = await save('restored');
    await client.put('after', 'yes', signal);
    const first = await client.status(etcd.member(0).clientUrl, signal);
    await etcd.member(0).end();
    const { dataDir, peerUrl, name: memberName } = etcd.member(0);
    const restore = (from: string) =>
      restoreSnapshot({
        ...{ file: from, etcdData: dataDir, memberName, peerUrl, etcdutl: etcd.program('etcdutl') },
        ...{ clock: systemClock, signal },
      });
    const damaged = path.join(etcd.folder, 'damaged');
    const bytes = readFileSync(file);
    bytes[5000] = (bytes[5000] ?? 0) ^ 1;
    writeFileSync(damaged, bytes);
    await expect(restore(damaged)).rejects.toMatchObject({ code: 'ERR_SNAPSHOT' });
    await expect(restore('/nowhere')).rejects.toMatchObject({ code: 'ERR_SNAPSHOT' });
    expect(readdirSync(etcd.folder).filter((each) => each.startsWith('m1-'))).toEqual([]);

    const { kept } = await restore(file);
    expect(kept).toMatch(new RegExp(`^${dataDir}-old-\\d+$`));
    expect(existsSync(path.join(kept ?? '', 'member'))).toBe(true);
    etcd.member(0).restart();
    await etcd.ready();
    expect(await client.get('before', signal)).toBe('yes');
    expect(await client.get('after', signal)).toBeUndefined();
    const second = await client.status(etcd.member(0).clientUrl, signal);
    expect(second.clusterId).not.toBe(first.clusterId);
    // Beyond what any client has seen.
    expect(second.revision).toBeGreaterThan(first.revision + 900_000_000);
    expect(await client.memberList(signal)).toMatchObject([{ name: 'm1', peerUrls: [peerUrl] }]);
  });
});

describe('etcd-snapshot on a data directory', () => {
  let installation: Installation;
  let cluster: Cluster;
  beforeAll(async () => {
    installation = await install();
    cluster = await createCluster({ installation });
  });
  afterAll(async () => {
    await cluster[Symbol.asyncDispose]();
    installation[Symbol.dispose]();
  });

  test('save, list, prune and restore work on what `up` keeps, and the schedule is a unit', async () => {
    const args = ['--disable-agent', '--etcd-snapshot-schedule-cron', '* * * * *', '--node-name', 'node1'];
    const up = cluster.up([...args, 'etcd-snapshots']);
    await up.events.ready();
    const endpoint = `https://127.0.0.1:${String(cluster.port('etcd-client-port'))}`;
    const client = etcdClientOf(cluster.paths, [endpoint]);
    await client.put('before', 'yes', signal);

    const saved = await cluster.run('etcd-snapshot', 'save', '--json');
    expect(saved.err).toBe('');
    const { name, file } = jsonSchema.parse(JSON.parse(saved.out));
    expect(name).toMatch(/^on-demand-node1-\d+$/);
    expect(file).toBe(path.join(cluster.paths.dataDir, 'server/db/snapshots', name));
    await client.put('after', 'yes', signal);
    const locked = await cluster.run('etcd-snapshot', 'restore', name);
    expect(locked).toMatchObject({ code: 3, err: expect.stringContaining('is held by another k3s-lite') as unknown });
    const { name: extra } = jsonSchema.parse(
      JSON.parse((await cluster.run('etcd-snapshot', 'save', '--name', 'extra', '--json')).out),
    );
    // At the next whole minute.
    const told = await up.events.until(
      ({ event }) => event.type === 'notify.status' && String(event['status']).startsWith('saved etcd-snapshot-node1-'),
      'a scheduled snapshot',
    );
    expect(told.event['status']).toMatch(/; next at \d{4}-/);
    const list = await cluster.run('etcd-snapshot', 'list');
    expect(list.out).toMatch(
      /^NAME +SIZE +CREATED +NODE +REVISION +FILE\netcd-snapshot-node1-\d+ .*\n(?:.*\n)*on-demand-node1-\d+ /,
    );
    expect((await cluster.run('etcd-snapshot', 'save', '--name', 'extra')).code).toBe(0);
    const pruned = await cluster.run('etcd-snapshot', 'prune', '--name', 'extra', '--etcd-snapshot-retention', '1');
    expect(pruned.out).toBe(`removed ${extra}\n`);
    await up.interrupt();

    const wrong = await cluster.run('etcd-snapshot', 'restore', name.replace('node1', 'node2'));
    expect(wrong.err).toContain(`did you mean ${name}?`);
    chmodSync(path.dirname(file), 0o700);
    const restored = await cluster.run('etcd-snapshot', 'restore', name, ...cluster.portArgs(), '--node-name', 'node1');
    expect(restored).toMatchObject({ code: 0, err: '' });
    const again = cluster.up(['--disable-agent', '--node-name', 'node1', 'etcd']);
    await again.events.ready();
    expect(await client.get('before', signal)).toBe('yes');
    expect(await client.get('after', signal)).toBeUndefined();
    expect((await again.interrupt()).code).toBe(0);
  });
});
