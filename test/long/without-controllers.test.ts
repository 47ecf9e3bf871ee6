/**
 * A single server whose controller-manager is stopped, and an agent that loses its power: nobody of Kubernetes would
 * ever call its node anything but Ready.
 * Its Service goes by what controllers write: while none lives nothing changes there, and once one is back it finds
 * the pods of a dead node not Ready, which it would not see by itself.
 *
 *   s1: up --cluster-init, without a node      a1: agent with a pod of a Deployment, off and on again
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { busyboxImage } from '../../src/cluster/first-pod.ts';
import { putBusyboxImage } from '../cluster/kit/busybox-image.ts';
import { webContainer, webPort } from '../cluster/kit/web-container.ts';
import { clusterRig, endRig, type ClusterRig } from '../cluster/rig/cluster-rig.ts';
import type { MachineUp } from '../cluster/rig/machine.ts';

const isRoot = process.getuid?.() === 0;
const patience = { timeout: 90_000, interval: 250 };
const graceMs = 20_000;
const readyPath = 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}';

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

  const log = () => machine('s1').k3sLite('logs', 'join-server').output;
  const powerOff = () => {
    machine('a1').powerOff();
    running.delete('a1');
  };
  /** Whether each endpoint of the Service is ready. */
  const endpoints = (): string => {
    const which = ['-n', 'default', 'get', 'endpointslices', '-l', 'kubernetes.io/service-name=web'];
    return kubectl(...which, '-o', 'jsonpath={.items[*].endpoints[*].conditions.ready}').trim();
  };
  const podReady = () => kubectl('-n', 'default', 'get', 'pod', '-l', 'app=web', '-o', readyPath).trim();
  const makeWeb = () => {
    const metadata = { name: 'web', labels: { app: 'web' } };
    const pod = { metadata, spec: { terminationGracePeriodSeconds: 0, containers: [webContainer('still-here')] } };
    const spec = { replicas: 1, selector: { matchLabels: metadata.labels }, template: pod };
    const service = { selector: metadata.labels, ports: [{ port: 80, targetPort: webPort }] };
    const items = [
      { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec },
      { apiVersion: 'v1', kind: 'Service', metadata, spec: service },
    ];
    const file = path.join(machine('s1').dataDir, 'web.json');
    writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    expect(machine('s1').k3sLite('kubectl', 'apply', '-f', file).code).toBe(0);
  };

  beforeAll(async () => {
    rig = await clusterRig(['s1', 'a1']);
    putBusyboxImage(machine('a1').dataDir, busyboxImage);
    const grace = ['--kube-controller-manager-arg', `node-monitor-grace-period=${String(graceMs / 1000)}s`];
    await up('s1', 'up', '--cluster-init', '--disable-agent', ...grace).events.ready();
    await upAgent().events.ready();
    makeWeb();
  });
  afterAll(() => endRig(rig, running));

  test('a node that is gone is not Ready after the grace, is again when it is back, and the controllers agree', async () => {
    await expect.poll(nodeLine, patience).toMatch(/^a1 +Ready /);
    await expect.poll(endpoints, patience).toBe('true');
    controllers('stop');
    powerOff();
    const cutMs = performance.now();
    await expect.poll(nodeLine, patience).toMatch(/^a1 +NotReady /);
    console.log(`a1 is NotReady after ${((performance.now() - cutMs) / 1000).toFixed(1)} s`);
    const conditions = kubectl('get', 'node', 'a1', '-o', 'jsonpath={.status.conditions[*].reason}');
    expect(conditions.split(' ').filter((reason) => reason === 'NodeStatusUnknown')).toHaveLength(4);
    expect(log()).toContain('node a1 is not believed to be Ready');
    await expect.poll(podReady, patience).toBe('False');
    // Written by controllers alone.
    expect(endpoints()).toBe('true');
    await upAgent().events.ready();
    await expect.poll(nodeLine, patience).toMatch(/^a1 +Ready /);
    controllers('start');
    await expect.poll(log, patience).toContain('a kube-controller-manager lives');
    expect(nodeLine()).toMatch(/^a1 +Ready /);
    expect(log().match(/is not believed to be Ready/g)).toHaveLength(1);
    await expect.poll(endpoints, patience).toBe('true');
  }, 240_000);

  test('controllers that are back while the node is still gone take its pods out of Services, and in again when it is back', async () => {
    controllers('stop');
    powerOff();
    await expect.poll(nodeLine, patience).toMatch(/^a1 +NotReady /);
    await expect.poll(podReady, patience).toBe('False');
    expect(endpoints()).toBe('true');
    controllers('start');
    const startedMs = performance.now();
    await expect.poll(endpoints, patience).toBe('false');
    console.log(
      `its endpoint is not ready ${((performance.now() - startedMs) / 1000).toFixed(1)} s after controllers are up`,
    );
    expect(nodeLine()).toMatch(/^a1 +NotReady /);
    await upAgent().events.ready();
    await expect.poll(nodeLine, patience).toMatch(/^a1 +Ready /);
    await expect.poll(endpoints, patience).toBe('true');
  }, 240_000);
});
