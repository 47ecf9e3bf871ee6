/**
 * An unclean power-off of a whole node: every process is gone at once, nobody could tidy up. The next
 * `up` ends ready, what etcd had acknowledged is there, and each pod runs again, once.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rowsOf } from '../kit/matrix.ts';
import { putBusyboxImage } from './kit/busybox-image.ts';
import { differences, isRoot, nodeRig, type NodeRig } from './node-rig.ts';

const image = 'test.local/steady:1';
const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'steady' },
  spec: {
    terminationGracePeriodSeconds: 0,
    containers: [
      {
        name: 'steady',
        image,
        imagePullPolicy: 'Never',
        command: ['/bin/sh', '-c', 'echo run >> /scratch/runs; exec sleep 98765'],
        volumeMounts: [{ name: 'scratch', mountPath: '/scratch' }],
      },
    ],
    volumes: [{ name: 'scratch', emptyDir: { medium: 'Memory' } }],
  },
};

describe.skipIf(!isRoot)('after a power-off', () => {
  let rig: NodeRig;
  let before: ReturnType<NodeRig['traces']>;

  beforeAll(async () => {
    rig = await nodeRig();
    putBusyboxImage(rig.dataDir, image);
    before = rig.traces();
    await rig.up();
    const file = path.join(rig.dataDir, 'pod.json');
    writeFileSync(file, JSON.stringify(pod));
    expect(rig.kubectl('apply', '-f', file).code).toBe(0);
    expectReady();
  });
  afterAll(async () => {
    await rig[Symbol.asyncDispose]();
  });

  const containerId = () =>
    rig.kubectl('get', 'pod', 'steady', '-o', 'jsonpath={.status.containerStatuses[0].containerID}').output;
  const sleepers = () => rig.podProcesses().filter((command) => command.includes('sleep 98765'));

  function expectReady(): void {
    const waited = rig.kubectl('wait', '--for=condition=Ready', 'pod/steady', '--timeout=60s');
    expect(waited.code, waited.output).toBe(0);
  }

  const powerCuts: readonly (readonly [string, boolean])[] = [
    ['mounts, sockets and run records are still there', false],
    ['after a reboot: mounts, links and the run directory are gone, the lock is of another boot', true],
  ];
  test.each(rowsOf(powerCuts, ([, reboot]) => reboot))('%s', async (_what, reboot) => {
    const earlier = containerId();
    // Acknowledged just before: it must be there afterwards.
    const kept = `kept-${String(reboot)}`;
    expect(rig.kubectl('create', 'configmap', kept, '--from-literal=answer=42').code).toBe(0);
    await rig.powerOff({ reboot });
    expect(rig.podProcesses()).toEqual([]);

    await rig.up();
    expect(rig.kubectl('get', 'configmap', kept, '-o', 'jsonpath={.data.answer}').output).toBe('42');
    // The kubelet of before has left a status "Ready", so the new container is the proof.
    await expect.poll(containerId, { timeout: 60_000, interval: 500 }).not.toBe(earlier);
    expectReady();
    expect(sleepers()).toHaveLength(1);
    // The same pod with its volume, which a reboot empties because it lies in memory.
    const runs = rig.kubectl('exec', 'steady', '--', 'cat', '/scratch/runs').output;
    expect(runs).toBe(reboot ? 'run\n' : 'run\nrun\n');
    expect(rig.kubectl('get', 'nodes', '--no-headers').output).toMatch(/^node-\S+ +Ready /);
    expect(rig.kubectl('get', 'pods', '--no-headers').output.match(/^steady /gm)).toHaveLength(1);
  });

  test('a clean stop after all that leaves nothing behind', async () => {
    expect(await rig.interrupt('SIGTERM')).toBe(0);
    expect(differences(before, rig.traces())).toEqual([]);
  });
});
