/**
 * The node image as a privileged container under a containerd of the test's own: k3s-lite-init as process 1
 * in namespaces of its own, the data on a volume.
 *
 *   node Ready ─► a pod runs ─► killed: scheduler, kubelet, k3s-lite itself ─► SIGTERM leaves nothing
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { putBusyboxImage } from './kit/busybox-image.ts';
import { ContainerEngine, type Container } from './kit/container-engine.ts';
import { makeImage, nodeImage } from './kit/image-archive.ts';
import { runningContainers } from './kit/running-containers.ts';
import { isRoot } from './node-rig.ts';

const dataDir = '/var/lib/k3s-lite';
const socketInside = '/run/k3s-lite/default/containerd/containerd.sock';
const components = [
  ...['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'],
  ...['containerd', 'kubelet', 'kube-proxy', 'coredns'],
];
const podImage = 'test.local/web:1';
const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web' },
  spec: {
    terminationGracePeriodSeconds: 0,
    containers: [
      {
        name: 'web',
        image: podImage,
        imagePullPolicy: 'Never',
        command: ['/bin/sh', '-c', 'echo hello; exec sleep 3600'],
      },
    ],
  },
};

describe.skipIf(!isRoot)('[C5] the node image', () => {
  let engine: ContainerEngine;
  let container: Container;
  let volume: string;
  const kubectl = (...args: string[]) => container.exec('kubectl', ...args);
  const isReady = () => container.isReady();
  const leaseOf = () =>
    kubectl('-n', 'kube-node-lease', 'get', 'lease', '-o', 'jsonpath={.items[0].spec.renewTime}').output;
  const supervisor = /^node \S+k3s-lite up/;

  beforeAll(async () => {
    const archive = makeImage();
    engine = await ContainerEngine.start();
    engine.import(archive);
    volume = engine.volume('data');
    putBusyboxImage(volume, podImage);
    writeFileSync(path.join(volume, 'pod.json'), JSON.stringify(pod));
    container = engine.start(nodeImage, { volumes: { [volume]: dataDir } });
    await container.line(/^ready in|node-ready (?:ready|done)/, 90_000);
  }, 600_000);
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
    expect(engine.traces()).toEqual([]);
  });

  test('it becomes Ready inside; the entrypoint units say what they found and did', async () => {
    await expect.poll(isReady, { timeout: 30_000 }).toBe(true);
    expect(kubectl('get', 'nodes', '--no-headers').output).toMatch(/^node-\S+ +Ready /);
    for (const line of [
      /^shared-mounts +\| made \d+ private mounts shared/,
      /^cgroup-mounts +\| found \d+ cgroup mounts/,
      /^kmsg +\| \/dev\/kmsg was not there \(ENOENT\); made it/,
      /^machine-id +\| \/etc\/machine-id was not set/,
      /^run-tmpfs +\| \/run lay on the image's layer; a tmpfs now/,
      /^resolv-conf +\| \/etc\/hosts: added /,
      /^data-volume +\| \/var\/lib\/k3s-lite lies on /,
    ]) {
      await container.line(line, 1000);
    }
  });

  test('a pod runs; exec and logs reach it', () => {
    const applied = kubectl('apply', '-f', `${dataDir}/pod.json`);
    expect(applied.code, applied.output).toBe(0);
    const waited = kubectl('wait', '--for=condition=Ready', 'pod/web', '--timeout=60s');
    expect(waited.code, waited.output).toBe(0);
    expect(kubectl('logs', 'web').output).toBe('hello\n');
    expect(kubectl('exec', 'web', '--', 'hostname').output).toBe('web\n');
  });

  test('a killed component comes again, and does its work', async () => {
    const before = container.killHard(/\/kube-scheduler /);
    await expect
      .poll(() => container.pids(/\/kube-scheduler /).filter((pid) => pid !== before), { timeout: 20_000 })
      .toHaveLength(1);
    await expect.poll(isReady, { timeout: 30_000, interval: 200 }).toBe(true);
    const words = [`--image=${podImage}`, '--image-pull-policy=Never', '--command', '--', 'sleep', '3600'];
    const made = kubectl('run', 'second', ...words);
    expect(made.code, made.output).toBe(0);
    const waited = kubectl('wait', '--for=condition=Ready', 'pod/second', '--timeout=60s');
    expect(waited.code, waited.output).toBe(0);
  });

  test('a killed k3s-lite comes again by the init; components and pods live on, the lease is renewed', async () => {
    const pids = () =>
      Object.fromEntries(components.map((name) => [name, container.pids(new RegExp(`^\\S*/${name} `))]));
    const [containerd] = container.pids(/^\S*\/containerd /);
    const containers = () =>
      // As the container sees its file system.
      runningContainers(path.join('/proc', String(containerd), 'root', socketInside));
    const [pidsBefore, containersBefore, lease] = [pids(), await containers(), leaseOf()];
    for (const name of components) expect(pidsBefore[name], name).toHaveLength(1);
    expect(containersBefore.length).toBeGreaterThan(1);
    const before = container.killHard(supervisor);
    await expect
      .poll(() => container.pids(supervisor).filter((pid) => pid !== before), { timeout: 20_000 })
      .toHaveLength(1);
    await expect.poll(isReady, { timeout: 60_000, interval: 300 }).toBe(true);
    expect(pids()).toEqual(pidsBefore);
    expect(await containers()).toEqual(containersBefore);
    await expect.poll(leaseOf, { timeout: 30_000, interval: 500 }).not.toBe(lease);
    expect(kubectl('get', 'pod', 'web', '-o', 'jsonpath={.status.phase}').output).toBe('Running');
  });

  test('SIGTERM stops it within its deadline, with 0, and nothing is left outside', async () => {
    const startedMs = performance.now();
    container.signal('SIGTERM');
    expect(await container.ended).toBe(0);
    expect(performance.now() - startedMs).toBeLessThan(30_000);
    await container.remove();
    expect(engine.traces()).toEqual([]);
  });

  test('without a volume it says why no pod could run, and what to do', async () => {
    container = engine.start(nodeImage, { args: ['--timeout=60s'] });
    const line = await container.line(/data-volume.*an overlay cannot lie on another one/);
    expect(line).toContain(`--volume NAME:${dataDir}`);
    container.signal('SIGTERM');
    await container.ended;
  });
});
