import { expect, test } from 'vitest';
import { renderDownSummary, renderReadySummary } from '../../src/report/summary.ts';

test('the summary says how many units were adopted', () => {
  const first = (adopted: number) =>
    renderReadySummary({ totalMs: 310, units: 14, adopted }, { colour: false }).split('\n')[0];
  expect([first(0), first(1), first(9)]).toEqual([
    'ready in 0.31 s: 14 units',
    'ready in 0.31 s: 14 units, adopted 1 unit',
    'ready in 0.31 s: 14 units, adopted 9 units',
  ]);
});

test('the summary at ready: node, kubeconfig, total time, critical chain', () => {
  const text = renderReadySummary(
    {
      totalMs: 8240,
      units: 14,
      nodeName: 'box',
      kubeconfig: '/etc/k3s-lite/k3s-lite.yaml',
      chain: [
        { unit: 'etcd', selfMs: 440 },
        { unit: 'kube-apiserver', selfMs: 3100 },
        { unit: 'kubelet', selfMs: 900 },
      ],
      degraded: [{ unit: 'kubelet', without: ['kernel-settings'] }],
      notes: ['as root the node would run too'],
    },
    { colour: false, width: 60 },
  );
  expect(text.split('\n')).toEqual([
    'ready in 8.2 s: 14 units',
    '  node            box',
    '  kubeconfig      /etc/k3s-lite/k3s-lite.yaml',
    '  critical chain  etcd 0.44 s → kube-apiserver 3.1 s →',
    '                  kubelet 0.90 s',
    '  degraded        kubelet runs without kernel-settings',
    '  as root the node would run too',
  ]);
});

test('the summary of a stop names what is left', () => {
  expect(renderDownSummary({ elapsedMs: 2100, leftovers: [] }, { colour: false })).toBe(
    'stopped in 2.1 s, nothing is left',
  );
  expect(renderDownSummary({ elapsedMs: 2100, leftovers: ['etcd: pid 8 is alive'] }, { colour: false })).toBe(
    'stopped in 2.1 s, but 1 thing could not be cleared:\n  etcd: pid 8 is alive',
  );
});
