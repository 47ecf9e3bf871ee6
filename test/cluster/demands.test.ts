/**
 * Demands on the project as a whole that no room proves alone: what it is made of, how it is laid
 * out, what the shipped unit files say and how their graph is drawn while the real control plane runs.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createCluster, type Cluster, type Up } from './kit/cluster.ts';
import { install, type Installation } from './kit/installation.ts';

const root = path.resolve(import.meta.dirname, '../..');

describe('a running control plane', () => {
  let installation: Installation;
  let cluster: Cluster;
  let up: Up;

  beforeAll(async () => {
    installation = await install();
    cluster = await createCluster({ installation });
    up = cluster.up();
    await up.events.ready();
  });
  afterAll(async () => {
    await cluster[Symbol.asyncDispose]();
    installation[Symbol.dispose]();
  });

  test('[C7] is drawn as DOT, every unit coloured by its state, its critical path in bold', async () => {
    const { code, out, err } = await cluster.run('graph', '--live');
    expect(code, err).toBe(0);
    expect(out).toMatch(/^digraph "k3s-lite" \{\n[\s\S]*\}\n$/);
    for (const unit of ['certificates', 'etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler']) {
      expect(out).toMatch(new RegExp(`^ +"${unit}" \\[.*(?:ready|done)`, 'm'));
    }
    expect(out).toMatch(/^ +"kube-apiserver" -> "etcd" \[.*penwidth/m);
  });

  test('[C2] its command is the `bin` of the package, beside the top level that was asked for', async () => {
    const wanted = ['README.md', 'bin', 'package.json', 'src', 'test', 'tsconfig.json', 'units'];
    expect(readdirSync(root)).toEqual(expect.arrayContaining(wanted));
    const packageSchema = z.object({ version: z.string(), bin: z.object({ 'k3s-lite': z.string() }) });
    const { bin, version } = packageSchema.parse(JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')));
    expect(installation.cli.endsWith(bin['k3s-lite'])).toBe(true);
    expect((await cluster.status()).instance).toMatchObject({ version, pid: up.pid });
  });

  test('[C1] runs on execa, graphlib, pino, p-retry and zod, and vitest tests it', async () => {
    const { metafile } = await build({
      ...{ absWorkingDir: root, entryPoints: ['src/cli/main.ts'], outdir: 'dist', write: false, metafile: true },
      ...{ bundle: true, splitting: true, format: 'esm', platform: 'node', external: ['node-unix-socket'] },
    });
    const used = new Set(
      Object.keys(metafile.inputs).map((file) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1]),
    );
    for (const name of ['execa', '@dagrejs/graphlib', 'pino', 'p-retry', 'zod']) expect(used, name).toContain(name);
    // This test runs in vitest. That pino wrote the log of this start shows in the shape of its lines.
    const [first = ''] = readFileSync(path.join(cluster.paths.dataDir, 'k3s-lite.log'), 'utf8').split('\n');
    expect(JSON.parse(first)).toMatchObject({ level: 'info', pid: up.pid, seq: 1 });
  });

  test('[C3] the unit files set hard, soft and parallel edges between its components and the node', async () => {
    const graphSchema = z.object({
      units: z.array(z.object({ name: z.string(), needs: z.array(z.object({ kind: z.string(), unit: z.string() })) })),
    });
    const { out, err } = await cluster.run('graph', '--format', 'json', '--units', installation.units);
    expect(err).toBe('');
    const components = new Set(['containerd', 'etcd', 'kube-apiserver', 'kube-controller-manager', 'kubelet']);
    const edges = graphSchema
      .parse(JSON.parse(out))
      .units.flatMap(({ name, needs }) => needs.map(({ kind, unit }) => ({ from: name, kind, to: unit })))
      .filter(({ from, to }) => components.has(from) && components.has(to))
      .map(({ from, kind, to }) => `${from} ${kind} ${to}`);
    expect(edges.sort()).toEqual([
      'containerd soft kube-controller-manager',
      'kube-apiserver hard etcd',
      'kube-controller-manager hard kube-apiserver',
      'kubelet hard containerd',
      'kubelet parallel kube-controller-manager',
    ]);
    // And those of them that run here were kept: the gate of each hard edge opened before the process came.
    for (const [from, to] of [
      ['kube-apiserver', 'etcd'],
      ['kube-controller-manager', 'kube-apiserver'],
    ] as const) {
      const ready = await up.events.state(to, 'ready');
      const [spawned] = up.events.of('process.spawned', from);
      expect(spawned?.seq).toBeGreaterThan(ready.seq);
    }
  });

  test('[C4] its readiness came by channel: no check passed before its process ran, each attempt was told', () => {
    for (const unit of ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler']) {
      const [spawned] = up.events.of('process.spawned', unit);
      const attempts = up.events.of('probe.attempt', unit);
      expect(attempts[0]?.seq, unit).toBeGreaterThan(spawned?.seq ?? 0);
      const ready = up.events.states(unit).find(({ snapshot }) => snapshot.state === 'ready');
      expect(attempts.find(({ event }) => JSON.stringify(event).includes('"outcome":"ok"'))?.seq).toBeLessThan(
        ready?.seq ?? 0,
      );
    }
  });
});
