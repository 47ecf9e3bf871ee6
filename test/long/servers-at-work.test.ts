/**
 * Three servers: a controller-manager and a scheduler that are frozen until they have lost their Lease
 * go on, end, and are back by themselves; and all stop in seconds although clients watch.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { clusterRig, endRig, type ClusterRig } from '../cluster/rig/cluster-rig.ts';
import type { MachineUp } from '../cluster/rig/machine.ts';

const isRoot = process.getuid?.() === 0;
const names = ['s1', 's2', 's3'] as const;
const patience = { timeout: 90_000, interval: 500 };
/** 15 s are promised; more where three control planes end on two cores. */
const stoppedWithinMs = 3 * 15_000;
const statusOf = z.object({ units: z.array(z.object({ unit: z.string(), pid: z.number().optional() })) });

describe.skipIf(!isRoot)('three servers at work', () => {
  let rig: ClusterRig;
  const running = new Map<string, MachineUp>();
  const watchers: ChildProcess[] = [];

  const machine = (name: string) => rig.machine(name);
  const kubectl = (on: string, ...args: string[]) =>
    machine(on)
      .k3sLite('kubectl', ...args)
      .output.trim();
  const up = (name: string, args: readonly string[]): MachineUp => {
    const file = path.join(machine(name).dataDir, 'given-token');
    const text = name === 's1' ? 'a-token-of-my-choice\n' : machine('s1').k3sLite('token', 'show').output;
    writeFileSync(file, text, { mode: 0o600 });
    const started = machine(name).up('up', ['--disable-agent', ...args, '--token-file', file]);
    running.set(name, started);
    return started;
  };
  const pidOf = (name: string, unit: string): number | undefined =>
    statusOf.parse(JSON.parse(machine(name).k3sLite('status', '--json').output)).units.find((one) => one.unit === unit)
      ?.pid;
  /** The machine of the lease holder, by the name that begins its identity. */
  const leaderOf = (lease: string): string =>
    kubectl('s1', '-n', 'kube-system', 'get', 'lease', lease, '-o', 'jsonpath={.spec.holderIdentity}').split('_')[0] ??
    '';

  beforeAll(async () => {
    rig = await clusterRig([...names]);
    await up('s1', ['--cluster-init']).events.ready();
    const join = ['--server', `https://${machine('s1').ip}:9345`];
    await Promise.all(['s2', 's3'].map((name) => up(name, join).events.ready()));
  });
  afterAll(async () => {
    for (const watcher of watchers) watcher.kill('SIGKILL');
    await endRig(rig, running);
  });

  test.each(['kube-controller-manager', 'kube-scheduler'])(
    '%s is frozen until another one leads; then it ends, and is back by itself',
    async (unit) => {
      const leader = leaderOf(unit);
      expect(names).toContain(leader);
      const pid = pidOf(leader, unit) ?? 0;
      expect(pid).toBeGreaterThan(0);
      const events = running.get(leader)?.events;
      const since = events?.count ?? 0;
      process.kill(pid, 'SIGSTOP');
      try {
        await expect.poll(() => leaderOf(unit), patience).not.toBe(leader);
      } finally {
        process.kill(pid, 'SIGCONT');
      }
      await events?.state(unit, 'ready', since);
      expect(pidOf(leader, unit)).not.toBe(pid);
      expect(kubectl('s1', 'create', 'namespace', `after-${unit}`)).toContain('created');
    },
  );

  test('everything stops in seconds, with clients that watch', async () => {
    for (const name of names) {
      const [program = '', ...enter] = machine(name).enter;
      const cli = path.resolve(import.meta.dirname, '../../bin/k3s-lite.js');
      const kubectlWatch = ['kubectl', '--data-dir', machine(name).dataDir, 'get', 'namespaces', '--watch'];
      const watcher = spawn(program, [...enter, process.execPath, cli, ...kubectlWatch], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      watchers.push(watcher);
      await once(watcher.stdout, 'data');
    }
    const beganMs = performance.now();
    const codes = await Promise.all([...running.values()].map((one) => one.interrupt()));
    const tookMs = performance.now() - beganMs;
    running.clear();
    console.log(`three servers with clients stopped in ${(tookMs / 1000).toFixed(1)} s`);
    expect(codes).toEqual([0, 0, 0]);
    expect(tookMs).toBeLessThan(stoppedWithinMs);
  });
});
