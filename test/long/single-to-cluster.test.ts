/**
 * A server that was alone becomes the first of a cluster with what it has, and data of a cluster of its own
 * joins no other.
 *
 *   s1: up ─► an object ─► up --cluster-init ◄─ s2 joins: it has the object, and goes on when s1 is gone and back
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterRig, endRig, type ClusterRig } from '../cluster/rig/cluster-rig.ts';
import type { MachineUp } from '../cluster/rig/machine.ts';

const isRoot = process.getuid?.() === 0;
const patience = { timeout: 60_000, interval: 500 };

describe.skipIf(!isRoot)('a server that was alone', () => {
  let rig: ClusterRig;
  const running = new Map<string, MachineUp>();
  const machine = (name: string) => rig.machine(name);
  const kubectl = (on: string, ...args: string[]) => machine(on).k3sLite('kubectl', ...args);
  const up = (name: string, ...args: string[]): MachineUp => {
    const started = machine(name).up('up', ['--disable-agent', ...args]);
    running.set(name, started);
    return started;
  };
  const token = (name: string): string[] => {
    const file = path.join(machine(name).dataDir, 'given-token');
    writeFileSync(file, machine('s1').k3sLite('token', 'show').output, { mode: 0o600 });
    return ['--token-file', file];
  };
  const joins = (name: string) => up(name, '--server', `https://${machine('s1').ip}:9345`, ...token(name));

  beforeAll(async () => {
    rig = await clusterRig(['s1', 's2', 's3']);
  });
  afterAll(() => endRig(rig, running));

  test('begins a cluster with the data that it has, and another one joins', async () => {
    await up('s1').events.ready();
    expect(kubectl('s1', 'create', 'namespace', 'from-alone').code).toBe(0);
    await running.get('s1')?.interrupt();
    await up('s1', '--cluster-init').events.ready();
    expect(kubectl('s1', 'get', 'namespace', 'from-alone').code).toBe(0);
    await joins('s2').events.ready();
    // Of its own etcd: the other one is stopped, and started again with nothing but its data.
    expect(kubectl('s2', 'get', 'namespace', 'from-alone').code).toBe(0);
    await running.get('s1')?.interrupt();
    await up('s1', '--cluster-init').events.ready();
    await expect.poll(() => kubectl('s2', 'create', 'namespace', 'from-two').code, patience).toBe(0);
    await expect.poll(() => kubectl('s1', 'get', 'namespace', 'from-two').code, patience).toBe(0);
  });

  test('does not join another cluster by its data: that is refused, says what to do, and leaves the data alone', async () => {
    await up('s3').events.ready();
    expect(kubectl('s3', 'create', 'namespace', 'of-its-own').code).toBe(0);
    await running.get('s3')?.interrupt();
    const refused = joins('s3');
    await refused.events.state('join', 'backoff');
    const [error] = refused.events.chain('join').filter(({ code }) => code === 'ERR_JOIN_REFUSED');
    expect(error?.message).toMatch(/is of another cluster than .*; empty it, or choose another --data-dir/);
    await refused.interrupt();
    await up('s3').events.ready();
    expect(kubectl('s3', 'get', 'namespace', 'of-its-own').code).toBe(0);
  });
});
