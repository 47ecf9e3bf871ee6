import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { clusterBuiltins } from '../../src/cluster/builtins.ts';
import { variablesOf } from '../../src/cluster/variables.ts';
import { buildGraph } from '../../src/graph/build-graph.ts';
import type { UnitGraph } from '../../src/graph/unit-graph.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { loadUnits } from '../../src/unit/load-units.ts';
import { settingsIn } from './settings-kit.ts';

const root = path.resolve(import.meta.dirname, '../..');
const settings = settingsIn('/data');

async function shipped(
  options: { disable?: string[]; dirs?: string[]; dropInDirs?: string[]; searchPath?: string[] } = {},
): Promise<UnitGraph> {
  const { searchPath = settings.searchPath } = options;
  const loaded = await loadUnits({
    dirs: (options.dirs ?? ['units']).map((dir) => path.join(root, dir)),
    variables: Object.fromEntries(variablesOf({ ...settings, searchPath })),
    disable: options.disable ?? [],
    dropInDirs: (options.dropInDirs ?? []).map((dir) => path.join(root, dir)),
  });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.error, null, 1));
  const graph = buildGraph(loaded.value);
  if (!graph.ok) throw new Error(JSON.stringify(graph.error, null, 1));
  return graph.value;
}

/** Everything that must have stopped before `unit` stops, through hard and soft edges. */
function stopsBefore(graph: UnitGraph, unit: string): Set<string> {
  const before = new Set<string>();
  const visit = (name: string) => {
    for (const next of graph.stopsAfter(name)) {
      if (before.has(next)) continue;
      before.add(next);
      visit(next);
    }
  };
  visit(unit);
  return before;
}

describe('the shipped units', () => {
  test('[C3] they load, with hard, soft and parallel edges, and their graph has no cycle', async () => {
    const graph = await shipped({ dirs: ['units', 'examples/first-pod'] });
    expect(graph.order).toEqual(
      expect.arrayContaining([
        'certificates',
        'containerd',
        'etcd',
        'kube-apiserver',
        'kube-controller-manager',
        'kubelet',
        'node-ready',
        'first-pod',
      ]),
    );
  });

  test('another PATH changes none of them: a k3s-lite that is started with it adopts them all', async () => {
    const dirs = ['units', 'units/container'];
    const [one, other] = [await shipped({ dirs }), await shipped({ dirs, searchPath: ['/elsewhere', '/usr/bin'] })];
    expect(other.order.map((name) => [name, other.unit(name).hash])).toEqual(
      one.order.map((name) => [name, one.unit(name).hash]),
    );
  });

  test('every builtin that a unit runs or undoes with exists, and none is left over', async () => {
    const graph = await shipped({ dirs: ['units', 'units/container', 'units/vip', 'examples/first-pod'] });
    const units = graph.order.map((name) => graph.unit(name));
    const named = units.flatMap((unit) => [
      ...(unit.kind === 'builtin' ? [unit.run[0]] : []),
      ...(unit.undo?.[0]?.startsWith('builtin:') === true ? [unit.undo[0].slice('builtin:'.length)] : []),
    ]);
    expect(new Set(named)).toEqual(
      new Set(clusterBuiltins(settings, { clock: systemClock, notice: () => undefined }).keys()),
    );
  });

  test('[C5] in a container every preparation is done before the first pod can be made', async () => {
    const inside = { dirs: ['units', 'units/container'], dropInDirs: ['units/container.d'] };
    const graph = await shipped(inside);
    const before = new Set(graph.closure(['kubelet', 'kube-proxy']));
    const group = graph.order.filter((name) => graph.unit(name).groups.includes('container'));
    expect(group).toHaveLength(10);
    for (const name of group) expect(before.has(name), name).toBe(true);
    expect((await shipped({ ...inside, disable: ['agent'] })).order).toEqual(
      (await shipped({ disable: ['agent'] })).order,
    );
  });

  test('without the group `agent` the control plane is left, and nothing of it needs root', async () => {
    const graph = await shipped({ disable: ['agent'] });
    expect([...graph.order].sort()).toEqual([
      'certificates',
      'etcd',
      'kube-apiserver',
      'kube-controller-manager',
      'kube-scheduler',
      'kubeconfigs',
      'manifests',
      'namespace-defaults',
      'scheduler-role',
    ]);
    for (const name of graph.order) expect(graph.unit(name).user).toBeUndefined();
  });

  test('stop order: kubelet, kube-proxy, pod network, containerd, controllers, API server, etcd', async () => {
    const graph = await shipped();
    const order = ['kubelet', 'kube-proxy', 'cni', 'containerd', 'kube-controller-manager', 'kube-apiserver', 'etcd'];
    for (const [index, unit] of order.entries()) {
      const before = stopsBefore(graph, unit);
      for (const earlier of order.slice(0, index)) expect(before, `${earlier} before ${unit}`).toContain(earlier);
      for (const later of order.slice(index + 1)) expect(before, `${later} after ${unit}`).not.toContain(later);
    }
    expect(stopsBefore(graph, 'containerd')).toContain('kube-proxy');
    expect(stopsBefore(graph, 'kube-scheduler')).toContain('containerd');
  });
});
