/**
 * Demand H8 as it stands there: six nodes, and everybody was given the first one as `--server`.
 *
 *   e1 ─ e2 ─ e3   etcd alone, each with a node          e1 loses its power; every other one is stopped and
 *    ╲   │   ╱                                           started again, one after the other, c2 with an empty
 *     c1   c2      control plane without etcd            disk; then e1 comes back
 *        w1        worker
 */
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterRig, type ClusterRig } from './rig/cluster-rig.ts';
import type { MachineUp } from './rig/machine.ts';

const isRoot = process.getuid?.() === 0;
const patience = { timeout: 150_000, interval: 1_000 };
/** Six nodes on one machine. */
const limitMs = 200_000;
const etcdAlone = ['--disable-apiserver', '--disable-controller-manager', '--disable-scheduler'];

describe.skipIf(!isRoot)('three nodes of etcd, two of the control plane, one worker', () => {
  let rig: ClusterRig;
  const running = new Map<string, MachineUp>();

  const machine = (name: string) => rig.machine(name);
  const serverOf = (name: string) => ['--server', `https://${machine(name).ip}:9345`];
  const tokenFile = () => path.join(machine('e1').dataDir, '..', '..', 'token');
  const roleOf = (name: string) => (name.startsWith('e') ? etcdAlone : name.startsWith('c') ? ['--disable-etcd'] : []);
  const start = (name: string, how: readonly string[] = serverOf('e1')): MachineUp => {
    const command = name === 'w1' ? 'agent' : 'up';
    const up = machine(name).up(command, [...how, ...roleOf(name), '--token-file', tokenFile()]);
    running.set(name, up);
    return up;
  };
  const stop = async (name: string) => {
    await running.get(name)?.interrupt();
    running.delete(name);
  };
  /** "e1 Ready, …", as one of them says. */
  const nodes = (on: string) =>
    machine(on)
      .k3sLite('kubectl', 'get', 'nodes', '--no-headers')
      .output.trim()
      .split('\n')
      .map((line) => line.split(/ +/).slice(0, 2).join(' '));
  const all = ['c1', 'c2', 'e1', 'e2', 'e3', 'w1'];

  beforeAll(async () => {
    rig = await clusterRig(['e1', 'e2', 'e3', 'c1', 'c2', 'w1']);
    writeFileSync(tokenFile(), 'a-token-of-my-choice\n', { mode: 0o600 });
  });
  afterAll(async () => {
    try {
      for (const name of ['w1', 'c2', 'c1']) await stop(name);
      await Promise.allSettled([...running.keys()].map(stop));
    } finally {
      await rig[Symbol.asyncDispose]();
    }
  });

  test('[H8] six nodes join by the first one, and all are Ready', { timeout: limitMs }, async () => {
    const first = start('e1', ['--cluster-init']);
    await first.events.state('join-server', 'ready');
    const others = ['e2', 'e3', 'c1', 'c2', 'w1'].map((name) => start(name));
    // All at once: the last is as late as all of them together.
    await Promise.all([first, ...others].map(({ events }) => events.ready(0, patience.timeout)));
    await expect.poll(() => nodes('c1'), patience).toEqual(all.map((name) => `${name} Ready`));
  });

  test(
    '[H8] the first loses its power; the others are restarted one by one, and come back',
    { timeout: limitMs },
    async () => {
      machine('e1').powerOff();
      running.delete('e1');
      for (const name of ['e2', 'e3', 'c1']) {
        await stop(name);
        await start(name).events.ready();
      }
      // Its disk is new: what it needs it gets through healthy ones, of which the first that is named is none.
      await stop('c2');
      for (const folder of ['server', 'agent']) rmSync(path.join(machine('c2').dataDir, folder), { recursive: true });
      await start('c2', ['e1', 'e2', 'e3'].flatMap(serverOf)).events.ready();
      await stop('w1');
      await start('w1').events.ready();
      await expect
        .poll(() => nodes('c2'), patience)
        .toEqual(all.map((name) => (name === 'e1' ? 'e1 NotReady' : `${name} Ready`)));
    },
  );

  test('[H8] the first comes back, and all are Ready', { timeout: limitMs }, async () => {
    await start('e1', ['--cluster-init']).events.ready();
    await expect.poll(() => nodes('c1'), patience).toEqual(all.map((name) => `${name} Ready`));
    expect(nodes('c2')).toEqual(nodes('c1'));
  });
});
