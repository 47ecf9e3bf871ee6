/**
 * A single server whose controller-manager is stopped, and an agent that loses its power: nobody of Kubernetes would
 * ever call its node anything but Ready.
 *
 *   s1: up --cluster-init, without a node      a1: agent, off and on again
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterRig, endRig, type ClusterRig } from '../cluster/rig/cluster-rig.ts';
import type { MachineUp } from '../cluster/rig/machine.ts';

const isRoot = process.getuid?.() === 0;
const patience = { timeout: 90_000, interval: 250 };
const graceMs = 20_000;

describe.skipIf(!isRoot)('without a controller-manager', () => {
  let rig: ClusterRig;
  const running = new Map<string, MachineUp>();
  const machine = (name: string) => rig.machine(name);
  const up = (name: string, command: 'up' | 'agent', ...args: string[]): MachineUp => {
    const tokenFile = path.join(machine(name).dataDir, 'given-token');
    writeFileSync(tokenFile, 'a-token-of-my-choice\n', { mode: 0o600 });
    const started = machine(name).up(command, [...args, '--token-file', tokenFile]);
    running.set(name, started);
    return started;
  };
  const upAgent = () => up('a1', 'agent', '--server', `https://${machine('s1').ip}:9345`);
  const kubectl = (...args: string[]) => machine('s1').k3sLite('kubectl', ...args).output;
  const nodeLine = () => kubectl('get', 'node', 'a1', '--no-headers');
  const controllers = (command: string) =>
    expect(machine('s1').k3sLite(command, 'kube-controller-manager').code).toBe(0);

  beforeAll(async () => {
    rig = await clusterRig(['s1', 'a1']);
    const grace = ['--kube-controller-manager-arg', `node-monitor-grace-period=${String(graceMs / 1000)}s`];
    await up('s1', 'up', '--cluster-init', '--disable-agent', ...grace).events.ready();
    await upAgent().events.ready();
  });
  afterAll(() => endRig(rig, running));

  test('a node that is gone is not Ready after the grace, is again when it is back, and the controllers agree', async () => {
    await expect.poll(nodeLine, patience).toMatch(/^a1 +Ready /);
    controllers('stop');
    machine('a1').powerOff();
    running.delete('a1');
    const cutMs = performance.now();
    await expect.poll(nodeLine, patience).toMatch(/^a1 +NotReady /);
    console.log(`a1 is NotReady after ${((performance.now() - cutMs) / 1000).toFixed(1)} s`);
    const conditions = kubectl('get', 'node', 'a1', '-o', 'jsonpath={.status.conditions[*].reason}');
    expect(conditions.split(' ').filter((reason) => reason === 'NodeStatusUnknown')).toHaveLength(4);
    expect(machine('s1').k3sLite('logs', 'join-server').output).toContain('node a1 is not believed to be Ready');
    await upAgent().events.ready();
    await expect.poll(nodeLine, patience).toMatch(/^a1 +Ready /);
    controllers('start');
    const log = () => machine('s1').k3sLite('logs', 'join-server').output;
    await expect.poll(log, patience).toContain('a kube-controller-manager lives');
    expect(nodeLine()).toMatch(/^a1 +Ready /);
    expect(log().match(/is not believed to be Ready/g)).toHaveLength(1);
  }, 240_000);
});
