/**
 * Three servers without nodes lose their power together and are switched on again in each order, one
 * after the other: two of them are a cluster, whichever they are, and everybody was given the first
 * one as `--server`. And each member of etcd in turn is killed while it leads.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { etcdTls } from '../../src/cluster/members/own-member.ts';
import { clusterRig, type ClusterRig } from '../cluster/rig/cluster-rig.ts';
import type { MachineUp } from '../cluster/rig/machine.ts';

const isRoot = process.getuid?.() === 0;
const patience = { timeout: 60_000, interval: 250 };
const limitMs = 200_000;
const names = ['s1', 's2', 's3'] as const;
type Name = (typeof names)[number];
const status = z.object({ header: z.object({ member_id: z.string() }), leader: z.string().optional() });

const orders = names.flatMap((first) =>
  names
    .filter((one) => one !== first)
    .map((second) => [first, second, names.find((one) => one !== first && one !== second)] as [Name, Name, Name]),
);

describe.skipIf(!isRoot)('three servers', () => {
  let rig: ClusterRig;
  const running = new Map<Name, MachineUp>();

  const tokenFile = (name: Name) => path.join(rig.machine(name).dataDir, 'given-token');
  const start = (name: Name): MachineUp => {
    const how = name === 's1' ? ['--cluster-init'] : ['--server', `https://${rig.machine('s1').ip}:9345`];
    const up = rig.machine(name).up('up', [...how, '--disable-agent', '--token-file', tokenFile(name)]);
    running.set(name, up);
    return up;
  };
  const kubectl = (on: Name, ...args: string[]) => rig.machine(on).k3sLite('kubectl', ...args);
  /** Does the member on that machine lead? */
  const isLeader = (name: Name) => {
    const { ca, cert, key } = etcdTls(path.join(rig.machine(name).dataDir, 'server/tls'));
    const tls = ['--cacert', String(ca), '--cert', String(cert), '--key', String(key)];
    const url = 'https://127.0.0.1:2379/v3/maintenance/status';
    const { output } = rig.machine(name).run('curl', '-sS', '-m', '5', ...tls, '-X', 'POST', '-d', '{}', url);
    const { header, leader } = status.parse(JSON.parse(output));
    return leader === header.member_id;
  };

  beforeAll(async () => {
    rig = await clusterRig(names);
    for (const name of names) writeFileSync(tokenFile(name), 'a-token-of-my-choice\n', { mode: 0o600 });
    await start('s1').events.ready();
    await Promise.all([start('s2'), start('s3')].map(({ events }) => events.ready()));
    expect(kubectl('s1', 'create', 'namespace', 'kept').code).toBe(0);
  });
  afterAll(async () => {
    try {
      await Promise.allSettled([...running.values()].map((up) => up.interrupt()));
    } finally {
      await rig[Symbol.asyncDispose]();
    }
  });

  test.each(orders)('[H8] all are switched off, and on again: %s, %s, %s', { timeout: limitMs }, async (...order) => {
    for (const name of names) rig.machine(name).powerOff();
    const [first, second, third] = order;
    const alone = start(first);
    await alone.events.state('etcd', 'starting');
    await Promise.all([alone, start(second)].map(({ events }) => events.ready()));
    expect(kubectl(first, 'get', 'namespace', 'kept').code).toBe(0);
    await start(third).events.ready();
    expect(kubectl(third, 'get', 'namespace', 'kept').code).toBe(0);
  });

  test.each([1, 2, 3])(
    '[H8] the leader of etcd is killed, and the API of another takes a write (%i)',
    { timeout: limitMs },
    async (round) => {
      const leader = names.find(isLeader);
      if (leader === undefined) throw new Error('etcd has no leader');
      const other = names.find((name) => name !== leader) ?? 's1';
      const { events } = running.get(leader) ?? start(leader);
      const since = events.count;
      process.kill(Number(events.of('process.spawned', 'etcd').at(-1)?.event['pid']), 'SIGKILL');
      await expect.poll(() => kubectl(other, 'create', 'namespace', `round-${String(round)}`).code, patience).toBe(0);
      await events.state('etcd', 'ready', since);
    },
  );
});
