import { instance } from '@viz-js/viz';
import { expect, test } from 'vitest';
import { drawGraph, toSvg } from '../../src/graph/draw.ts';
import { toDot } from '../../src/graph/to-dot.ts';
import { unitStates } from '../../src/unit/state.ts';
import { graphOf, unitOf } from './graph-fixture.ts';

const graph = graphOf([
  unitOf('certificates', [], { kind: 'builtin', about: 'Keys & "certificates" <all>' }),
  unitOf('kernel-settings', [], { kind: 'task' }),
  unitOf('containerd', ['soft kernel-settings 5s']),
  unitOf('etcd', ['hard certificates'], { about: 'A line with \\N, \\l and &lt;' }),
  unitOf('kube-apiserver', ['hard etcd', 'soft kernel-settings']),
  unitOf('kubelet', ['hard containerd', 'hard kube-apiserver started', 'soft kube-proxy 0s', 'parallel metrics']),
  unitOf('kube-proxy'),
  unitOf('metrics'),
]);
const live = graph.order.map((unit, index) => ({
  unit,
  state: unitStates[index % unitStates.length] ?? ('ready' as const),
  degraded: unit === 'kubelet' ? [{ unit: 'kube-proxy', reason: 'not ready' }] : [],
}));
const criticalPath = ['certificates', 'etcd', 'kube-apiserver'];

test('[C7] [S7] the graph as DOT (golden file)', async () => {
  await expect(await drawGraph(graph, 'dot')).toMatchFileSnapshot('graph.golden.dot');
});

test('[C7] [S8] the live graph as DOT, with states, degraded units and the critical path (golden file)', async () => {
  await expect(await drawGraph(graph, 'dot', { live, criticalPath })).toMatchFileSnapshot('live.golden.dot');
});

test('[S7] the graph for a terminal (golden file)', async () => {
  await expect(await drawGraph(graph, 'text', { live, criticalPath })).toMatchFileSnapshot('live.golden.txt');
});

test('the graph as JSON (golden file)', async () => {
  await expect(await drawGraph(graph, 'json', { live, criticalPath })).toMatchFileSnapshot('live.golden.json');
});

test('[S7] each kind of edge is drawn in a style of its own, which Graphviz understands', async () => {
  const viz = await instance();
  const drawn = viz.renderJSON(toDot(graph, { criticalPath })) as {
    objects: { _gvid: number; name: string }[];
    edges: { tail: number; head: number; style: string; penwidth?: string }[];
  };
  const nameOf = (id: number) => drawn.objects.find((object) => object._gvid === id)?.name ?? '';
  const styles = new Map(drawn.edges.map((edge) => [`${nameOf(edge.tail)} ${nameOf(edge.head)}`, edge]));
  expect(styles.get('kubelet containerd')?.style).toBe('solid');
  expect(styles.get('kube-apiserver kernel-settings')?.style).toBe('dashed');
  expect(styles.get('kubelet metrics')?.style).toBe('dotted');
  expect(styles.get('etcd certificates')?.penwidth).toBe('3');
  expect(styles.get('kubelet containerd')?.penwidth).toBeUndefined();
});

test('[S7] the SVG is well formed, without a system Graphviz, and its texts are as written', async () => {
  const svg = await drawGraph(graph, 'svg', { live, criticalPath });
  expect(svg).toMatch(/^<\?xml[\s\S]*<svg [\s\S]*<\/svg>\s*$/);
  // Each opened element is closed in order.
  const open: string[] = [];
  for (const [, close = '', tag = '', empty = ''] of svg.matchAll(/<(\/?)([a-z]+)(?:\s[^<>]*?)?(\/?)>/g)) {
    if (close === '/') expect(open.pop()).toBe(tag);
    else if (empty === '') open.push(tag);
  }
  expect(open).toEqual([]);
  const texts = [...svg.matchAll(/<text [^>]*>([^<]*)<\/text>/g)].map(([, text = '']) =>
    text
      .replaceAll('&#160;', ' ')
      .replaceAll('&#45;', '-')
      .replaceAll('&quot;', '"')
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&amp;', '&'),
  );
  expect(texts).toEqual(
    expect.arrayContaining([
      'kubelet',
      'Keys & "certificates" <all>',
      'A line with \\N, \\l and &lt;',
      'degraded: without kube-proxy',
      'until started',
      'no wait',
    ]),
  );
});

test('a part of the graph shows only its units and the edges between them', () => {
  const dot = toDot(graph, { only: graph.closure(['etcd']) });
  expect(dot).toContain('"etcd" -> "certificates"');
  expect(dot).not.toContain('kubelet');
});

test('what is not DOT is an error of toSvg', async () => {
  await expect(toSvg('digraph {')).rejects.toThrow();
});
