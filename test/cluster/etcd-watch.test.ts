/**
 * etcd's disk made slow by the kernel, and what is said of it: before a leader is lost, in the status,
 * the metrics and as a notice.
 *
 *   m1, m2, m3: the leader's disk takes 20 writes a second, then one       up: etcd ─► etcd-watch
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { etcdClientOf } from '../../src/app/etcd-of.ts';
import type { EtcdClient } from '../../src/cluster/etcd/etcd-client.ts';
import { serveEtcdWatch } from '../../src/cluster/etcd/serve-etcd-watch.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { createCluster } from './kit/cluster.ts';
import { etcdMembers } from './kit/etcd-members.ts';
import { install, type Installation } from './kit/installation.ts';
import { slowDisk } from './kit/slow-disk.ts';

/** Writes all the time, as a cluster does, one after the other. */
function steadyWriter(client: EtcdClient): AsyncDisposable {
  const controller = new AbortController();
  const ended = (async () => {
    for (let count = 0; !controller.signal.aborted; count += 1) {
      await client.put('steady', String(count), controller.signal).catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  return {
    async [Symbol.asyncDispose]() {
      controller.abort(new Error('the test has ended'));
      await ended;
    },
  };
}

test('[H10] a slow disk under the leader is warned of while it still leads; only a slower one loses it', async () => {
  await using etcd = await etcdMembers(3);
  for (const member of etcd.members) member.start(etcd.members);
  await etcd.ready();
  const { signal } = new AbortController();
  const all = etcd.client();
  const { leader: leaderId } = await all.status(etcd.member(0).clientUrl, signal);
  const name = (await all.memberList(signal)).find(({ id }) => id === leaderId)?.name;
  const leader = etcd.members.find((member) => member.name === name);
  const other = etcd.members.find((member) => member.name !== name);
  if (leader === undefined || other === undefined) throw new Error('no leader');
  const leaderNow = async () => (await all.status(other.clientUrl, signal)).leader;

  const notified: string[] = [];
  const controller = new AbortController();
  const watching = serveEtcdWatch({
    client: etcd.client([leader]),
    scrape: async (aborted) => (await fetch(`${leader.metricsUrl}/metrics`, { signal: aborted })).text(),
    ...{ clock: systemClock, log: () => undefined, signal: controller.signal },
    notify: (...lines) => void notified.push(...lines),
  });
  watching.catch(() => undefined);
  const warning = () => notified.findLast((line) => line.startsWith('X_WARNING='));
  try {
    await using _writer = steadyWriter(all);
    await expect.poll(() => notified[0], { timeout: 10_000 }).toBe('READY=1');
    using disk = slowDisk(leader.pid, leader.dataDir);
    disk.limit(20);
    await expect.poll(warning, { timeout: 40_000 }).toMatch(/etcd (?:writes its log|commits) slowly/);
    expect(await leaderNow()).toBe(leaderId);
    disk.limit(1);
    await expect.poll(leaderNow, { timeout: 60_000 }).not.toBe(leaderId);
  } finally {
    controller.abort(new Error('the test has ended'));
    await watching.catch(() => undefined);
  }
});

describe('etcd-watch as a unit', () => {
  let installation: Installation;
  const dataBase = mkdtempSync(path.join(tmpdir(), 'k3s-lite-watch-'));
  beforeAll(async () => {
    installation = await install();
  });
  afterAll(() => {
    installation[Symbol.dispose]();
    rmSync(dataBase, { recursive: true, force: true });
  });

  test('[H10] shows figures in status and metrics, and a slow disk as one notice', async () => {
    await using cluster = await createCluster({ installation });
    const up = cluster.up(['--disable-agent', '--cluster-init', 'etcd-watch']);
    await up.events.ready();
    const { paths } = cluster;
    const endpoint = `https://127.0.0.1:${String(cluster.port('etcd-client-port'))}`;
    await using _writer = steadyWriter(etcdClientOf(paths, [endpoint]));
    const statusOf = async () => (await cluster.run('status')).out;
    await expect
      .poll(statusOf, { timeout: 30_000 })
      .toMatch(/^etcd-watch +ready .*fsync p99 [\d.]+ m?s, commit p99 .* leader changes, lag 0, db /m);
    const pid = Number(up.events.of('process.spawned', 'etcd')[0]?.event['pid']);
    expect(readFileSync(`/proc/${String(pid)}/comm`, 'utf8')).toContain('etcd');
    using disk = slowDisk(pid, paths.dataDir);
    const since = up.events.count;
    disk.limit(3);
    const notice = await up.events.until(
      ({ event }) => event.type === 'notice' && String(event['text']).includes('so it may lose its leader'),
      'a warning of the slow disk',
      since,
    );
    expect(notice.event).toMatchObject({ level: 'warning', unit: 'etcd-watch' });
    expect(notice.event['text']).toMatch(/etcd (?:writes its log|commits) slowly \(p99 /);
    expect(await statusOf()).toMatch(/^etcd-watch .*warning: etcd /m);
    const metrics = (await cluster.run('metrics')).out;
    for (const figure of ['wal_fsync_p99_seconds', 'backend_commit_p99_seconds', 'db_size_bytes', 'has_leader']) {
      expect(metrics).toMatch(
        new RegExp(`^k3s_lite_unit_figure\\{unit="etcd-watch",figure="${figure}"\\} [\\d.e-]+$`, 'm'),
      );
    }
    disk.limit(100_000);
    expect((await up.interrupt()).code).toBe(0);
  });
});
