/**
 * Three servers and an agent, each on a machine of its own. Every server has a member of etcd.
 *
 *   s1 begins the cluster ─► s2 and s3 join it ─► a1 joins
 *   s1 is killed with everything that it runs ─► the others go on
 *   s2 starts again, and its --server is s1 ─► it comes back by what lies on its disk
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterRig, type ClusterRig } from './rig/cluster-rig.ts';
import type { Machine, MachineUp } from './rig/machine.ts';

const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot)('three servers', () => {
  let rig: ClusterRig;
  const running = new Map<string, MachineUp>();

  const machine = (name: string) => rig.machine(name);
  const kubectl = (on: string, ...args: string[]) => machine(on).k3sLite('kubectl', ...args);
  const token = (on: string) => path.join(machine(on).dataDir, 'given-token');
  const up = (name: string, args: readonly string[]): MachineUp => {
    const started = machine(name).up('up', [...args, '--token-file', token(name)]);
    running.set(name, started);
    return started;
  };
  const giveToken = (name: string, text: string) => writeFileSync(token(name), text, { mode: 0o600 });
  const join = (of: Machine) => ['--server', `https://${of.ip}:9345`];

  beforeAll(async () => {
    rig = await clusterRig(['s1', 's2', 's3', 'a1']);
  });
  afterAll(async () => {
    try {
      await Promise.allSettled([...running.values()].map((one) => one.interrupt()));
    } finally {
      await rig[Symbol.asyncDispose]();
    }
  });

  test('the first begins the cluster', async () => {
    giveToken('s1', 'a-token-of-my-choice\n');
    const { events } = up('s1', ['--cluster-init']);
    await events.ready();
    expect(kubectl('s1', 'get', 'nodes', '--no-headers').output).toMatch(/^s1 +Ready /);
  });

  test('two more join it, and have a vote each', async () => {
    for (const name of ['s2', 's3']) giveToken(name, machine('s1').k3sLite('token', 'show').output);
    const ups = ['s2', 's3'].map((name) => up(name, ['--disable-agent', ...join(machine('s1'))]));
    await Promise.all(ups.map(({ events }) => events.ready()));
    for (const { events } of ups) expect((await events.state('etcd-voter', 'done')).snapshot.state).toBe('done');
  });
});
