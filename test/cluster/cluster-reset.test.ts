/**
 * Three members of real etcd, of which two are destroyed: the third is reset to a cluster of its own
 * by `up --cluster-reset` and keeps everything; another joins it anew with emptied data.
 *
 *   m1 (k3s-lite's data directory) ─ m2 ─ m3
 *        └ reset: m1 alone ─► m2 joins again as a learner
 */
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { etcdClientOf } from '../../src/app/etcd-of.ts';
import type { EtcdClient } from '../../src/cluster/etcd/etcd-client.ts';
import { readKnownMembers, rememberMembers } from '../../src/cluster/etcd/known-members.ts';
import { layoutOf } from '../../src/cluster/layout.ts';
import { resolveSettings } from '../../src/cluster/settings.ts';
import { createCluster, type Cluster } from './kit/cluster.ts';
import { etcdMembers, type EtcdMembers } from './kit/etcd-members.ts';
import { install, type Installation } from './kit/installation.ts';

const { signal } = new AbortController();
let installation: Installation;
let cluster: Cluster;
let etcd: EtcdMembers;
let own: EtcdClient;

/** Of a member that is k3s-lite's own: the same names, ports and certificates. */
const flags = () => [...cluster.portArgs(), '--node-name', 'm1', '--disable-agent'];
const reset = (...more: readonly string[]) => cluster.run('up', ...flags(), '--cluster-reset', ...more);

beforeAll(async () => {
  installation = await install();
  cluster = await createCluster({ installation });
  const layout = layoutOf(cluster.paths);
  const ports = Object.fromEntries(
    (['Client', 'Peer', 'Metrics'] as const).map((name) => [
      `etcd${name}Port`,
      cluster.port(`etcd-${name.toLowerCase() as Lowercase<typeof name>}-port`),
    ]),
  );
  const settings = resolveSettings({ nodeName: 'm1', ...ports }, { ...cluster.paths, searchPath: [] });
  etcd = await etcdMembers(3, { of: { settings } });
  for (const member of etcd.members) member.start(etcd.members);
  await etcd.ready();
  own = etcdClientOf(cluster.paths, [etcd.member(0).clientUrl]);
  await own.put('before', 'yes', signal);
  await rememberMembers(layout.etcdMembers, await own.memberList(signal));
});
afterAll(async () => {
  await etcd[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
  installation[Symbol.dispose]();
});

test('[H7] a dry run says what would be done here and what every other member has to do, and does nothing', async () => {
  const { code, out, err } = await reset('--dry-run');
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toMatch(/^nothing is done; .*\nm1, this machine:\n {2}etcd keeps what it has in /);
  for (const name of ['m2', 'm3']) {
    const { clientUrl } = etcd.member(name === 'm2' ? 1 : 2);
    expect(out).toContain(`${name} (answers at ${clientUrl}, and has a leader):\n  stop k3s-lite there`);
  }
  expect(out.match(/remove its <data-dir>\/server\/db\/etcd/g)).toHaveLength(2);
  expect(out.match(/start it with --server https:\/\/[\d.]+:9345/g)).toHaveLength(2);
  expect(await own.memberList(signal)).toHaveLength(3);
});

test('a reset is refused while other members answer, with what to do', async () => {
  await etcd.member(0).end();
  await etcd.ready(etcd.client([etcd.member(1), etcd.member(2)]));
  const { code, err } = await reset();
  expect(code).toBe(3);
  expect(err).toMatch(/the cluster is not reset: m[23] answers at .*; m[23] answers at /);
  expect(err).toContain('the cluster lives: stop k3s-lite on all its other servers');
  expect((await cluster.run('up', '--dry-run')).err).toContain('--dry-run has no sense without --cluster-reset');
});

test('[H7] of three members, two of them destroyed, the third is reset: alone, with all the data, once', async () => {
  for (const at of [1, 2]) {
    await etcd.member(at).end('SIGKILL');
    rmSync(etcd.member(at).dataDir, { recursive: true });
  }
  const { code, out, err } = await reset();
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toContain('start k3s-lite again without --cluster-reset');
  expect(out).toContain('m2 (cannot ask etcd for its status: ');
  const { etcdData, etcdMembers: file, resetFlag } = layoutOf(cluster.paths);
  expect(readdirSync(path.dirname(etcdData)).some((name) => /^etcd-old-\d+$/.test(name))).toBe(true);
  expect((await readKnownMembers(file)).members).toMatchObject([{ name: 'm1', peerUrls: [etcd.member(0).peerUrl] }]);
  const again = await reset();
  expect(again).toMatchObject({ code: 3, err: expect.stringContaining('has not been started since') as unknown });

  const up = cluster.up([...flags(), 'etcd']);
  await up.events.ready();
  expect(await own.get('before', signal)).toBe('yes');
  expect(await own.memberList(signal)).toMatchObject([{ name: 'm1', isLearner: false }]);
  expect(existsSync(resetFlag)).toBe(false);

  // Another joins anew, with nothing of its own.
  const joining = etcd.member(1);
  await own.memberAdd({ peerUrls: [joining.peerUrl], isLearner: true }, signal);
  joining.start([etcd.member(0), joining], 'existing');
  await expect
    .poll(
      async () => {
        const learner = (await own.memberList(signal)).find(({ isLearner }) => isLearner);
        return learner === undefined
          ? true
          : own.memberPromote(learner.id, signal).then(
              () => true,
              () => false,
            );
      },
      { timeout: 30_000 },
    )
    .toBe(true);
  expect(await etcdClientOf(cluster.paths, [joining.clientUrl]).get('before', signal)).toBe('yes');
  const [m2] = (await own.memberList(signal)).filter(({ name }) => name === 'm2');
  // etcd refuses until the two have been connected for 5 s.
  await expect
    .poll(() => own.memberRemove(m2?.id ?? '', signal).then((members) => members.length, String), { timeout: 20_000 })
    .toBe(1);
  await joining.end('SIGKILL');
  expect((await up.interrupt()).code).toBe(0);
});

test('a reset from a snapshot gives etcd what that holds, and a broken snapshot changes nothing', async () => {
  const first = cluster.up([...flags(), 'etcd']);
  await first.events.ready();
  await own.put('saved', 'yes', signal);
  expect((await cluster.run('etcd-snapshot', 'save', '--name', 'golden')).code).toBe(0);
  await own.put('saved', 'no', signal);
  await first.interrupt();
  const broken = path.join(cluster.paths.dataDir, 'broken');
  writeFileSync(broken, 'no snapshot');
  const refused = await reset('--cluster-reset-restore-path', broken);
  expect(refused.err).toContain('it does not end in the hash of itself');
  const list = await cluster.run('etcd-snapshot', 'list');
  const name = /^golden-\S+/m.exec(list.out)?.[0] ?? '';
  const { code, err } = await reset('--cluster-reset-restore-path', name);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  const up = cluster.up([...flags(), 'etcd']);
  await up.events.ready();
  expect(await own.get('saved', signal)).toBe('yes');
  expect((await up.interrupt()).code).toBe(0);
});
