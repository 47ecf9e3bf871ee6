/**
 * kill -9 of each component of a running node, one after another: it comes back alone, the others
 * and the pods keep running, and afterwards the whole works — which takes all eight:
 *
 *   apply ─► apiserver ─► etcd      Deployment ─► controller-manager ─► scheduler ─► kubelet ─► containerd
 *   old pod ─► name ─► DNS ─► ClusterIP ─► kube-proxy ─► new pod
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { renderWhy } from '../../src/cli/commands/why-tree.ts';
import { rowsOf } from '../kit/matrix.ts';
import { runningContainers } from './kit/running-containers.ts';
import { webContainer, webPort } from './kit/web-container.ts';
import { isRoot, nodeRig, type NodeRig } from './node-rig.ts';

/** Within what event, `why` and log tell what happened: 1 s is promised; five times that on a machine that others use too. */
const toldWithinMs = 5 * 1000;

/** kubelet renews its Lease after a quarter of this: 10 s by default, which each test would wait for. */
const kubeletConfiguration = {
  apiVersion: 'kubelet.config.k8s.io/v1beta1',
  kind: 'KubeletConfiguration',
  nodeLeaseDurationSeconds: 8,
};
/** How long a function may take to come back: clients back off meanwhile. */
const patience = { timeout: 40_000, interval: 200 };

/** A web server that answers with its name, behind a Service of that name. */
const website = (name: string) => ({
  apiVersion: 'v1',
  kind: 'List',
  items: [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name },
      spec: {
        selector: { matchLabels: { app: name } },
        template: {
          metadata: { labels: { app: name } },
          spec: {
            terminationGracePeriodSeconds: 0,
            containers: [webContainer(name)],
          },
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name },
      spec: { selector: { app: name }, ports: [{ port: 80, targetPort: webPort }] },
    },
  ],
});

describe.skipIf(!isRoot)('a component of a whole node is killed', () => {
  let rig: NodeRig;
  const configDir = mkdtempSync(path.join(tmpdir(), 'k3s-lite-kubelet-'));

  beforeAll(async () => {
    writeFileSync(path.join(configDir, 'lease.conf'), JSON.stringify(kubeletConfiguration));
    rig = await nodeRig(['--kubelet-arg', `config-dir=${configDir}`]);
    await rig.up();
  });
  afterAll(async () => {
    await rig[Symbol.asyncDispose]();
    rmSync(configDir, { recursive: true });
  });

  function createWebsite(name: string): void {
    const file = path.join(rig.dataDir, 'website.json');
    writeFileSync(file, JSON.stringify(website(name)));
    const { code, output } = rig.kubectl('apply', '-f', file);
    expect(code, output).toBe(0);
  }

  /** `first-pod` has run since before every kill. */
  function fetchFromFirstPod(name: string): string {
    const url = `http://${name}.default.svc.cluster.local/`;
    return rig.kubectl('exec', 'first-pod', '--', 'wget', '-q', '-O', '-', url).output;
  }

  const leaseRenewedMs = () =>
    Date.parse(
      rig.kubectl('get', 'lease', rig.nodeName, '-n', 'kube-node-lease', '-o', 'jsonpath={.spec.renewTime}').output,
    );
  const containers = () => runningContainers(path.join(rig.runDir, 'containerd/containerd.sock'));

  /** Every process of a unit, by its unit: pid, generation and restarts. */
  async function processes() {
    const { units } = await rig.client.status();
    return new Map(
      units.flatMap(({ unit, pid, generation, restarts }) =>
        pid === undefined ? [] : [[unit, { pid, generation, restarts }] as const],
      ),
    );
  }

  const logOfSupervisor = () => readFileSync(path.join(rig.dataDir, 'k3s-lite.log'), 'utf8');

  test('before any kill the node works', async () => {
    createWebsite('before');
    await expect.poll(() => fetchFromFirstPod('before'), patience).toBe('before\n');
  });

  const components = [
    'etcd',
    'kube-apiserver',
    'kube-controller-manager',
    'kube-scheduler',
    'kubelet',
    'containerd',
    'kube-proxy',
    'coredns',
  ];
  // What holds the data, what runs the pods, and what both of them are asked through.
  const some = ['etcd', 'kubelet', 'containerd', 'kube-apiserver'];
  test.each(rowsOf(components, (unit) => some.includes(unit)))(
    '[C5] %s: it alone comes back, pods run on, the node works',
    async (unit) => {
      const [before, podsBefore] = [await processes(), await containers()];
      const killed = before.get(unit);
      if (killed === undefined) throw new Error(`${unit} does not run`);
      const since = rig.events.count;
      const killedAtMs = Date.now();
      process.kill(killed.pid, 'SIGKILL');

      // Told within a second, wherever one looks.
      const { event } = await rig.events.until(
        ({ event: { type, pid } }) => type === 'process.exited' && pid === killed.pid,
        `the end of ${unit} is told`,
        since,
      );
      expect(event).toMatchObject({ unit, exit: { kind: 'signal', signal: 'SIGKILL' } });
      await expect
        .poll(async () => renderWhy(await rig.client.why(unit), { colour: false }), {
          timeout: toldWithinMs,
          interval: 50,
        })
        .toMatch(new RegExp(`(?:last error|last failure, .* ago): ${unit} was ended by SIGKILL$`, 'm'));
      await expect
        .poll(logOfSupervisor, { timeout: toldWithinMs, interval: 50 })
        .toContain(`"pid":${killed.pid},"exit"`);
      expect(Date.now() - killedAtMs).toBeLessThan(toldWithinMs);

      // Again: another process that has passed its own check.
      const { snapshot } = await rig.events.state(unit, 'ready', since);
      expect(snapshot.generation).toBe(killed.generation + 1);
      expect(snapshot.pid).not.toBe(killed.pid);

      // The node works, with all eight.
      createWebsite(`after-${unit}`);
      await expect.poll(() => fetchFromFirstPod(`after-${unit}`), patience).toBe(`after-${unit}\n`);
      await expect.poll(leaseRenewedMs, patience).toBeGreaterThan(killedAtMs);
      await expect.poll(async () => (await rig.client.status()).ready, patience).toBe(true);

      // Nobody else was disturbed.
      const now = await processes();
      expect(now.get(unit)).toMatchObject({ generation: killed.generation + 1, restarts: killed.restarts + 1 });
      now.delete(unit);
      before.delete(unit);
      expect(now).toEqual(before);
      expect(await containers()).toEqual(expect.arrayContaining([...podsBefore]));
    },
  );
});
