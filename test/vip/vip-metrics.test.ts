import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { StatusAnswer } from '../../src/vip/control-model.ts';
import type { VipEvent } from '../../src/vip/vip-event.ts';
import { vipMetrics } from '../../src/vip/vip-metrics.ts';

const status: StatusAnswer = {
  node: 'a',
  leaseGood: true,
  epoch: 3,
  imbalance: 1.5,
  nodes: [
    { name: 'a', state: 'ready', capacity: 1, penalty: 0, held: 3, load: 3 },
    { name: 'b', state: 'dead', capacity: 1, penalty: 0, held: 0, load: 0 },
  ],
  addresses: [
    { address: '10.1.2.3', state: 'unassigned', weight: 1, services: [] },
    { address: '10.1.2.9', state: 'granted', owner: 'a', weight: 1, services: ['apiserver'] },
  ],
};

const own = { leftMs: 3500, durationMs: 5000, nowMs: 0 };

function textAfter(...events: readonly VipEvent[]): string {
  const metrics = vipMetrics();
  for (const [seq, event] of events.entries()) metrics.onEvent({ seq, wallMs: 0, monotonicMs: 0, event });
  return metrics.text(status, own);
}

test('what is now is read, what happened is counted', () => {
  const address = '10.1.2.3';
  const moved = { type: 'vip.move', address, from: 'b', to: 'a', generation: 2, reason: 'dead' } as const;
  const text = textAfter(
    { ...moved, is: 'revoking' },
    { ...moved, is: 'granted' },
    { type: 'vip.taken', address, generation: 2, tookMs: 8 },
    { type: 'vip.taken', address, generation: 3, tookMs: 12 },
    { type: 'vip.silent', address, generation: 3, reason: 'lease' },
    { type: 'vip.conflict', address, mac: '02:00:00:00:00:01' },
    { type: 'vip.refused', address, generation: 4, refusal: { kind: 'no-interface' } },
  );
  for (const line of [
    'held{node="a"} 3',
    'held{node="b"} 0',
    'apiserver{node="a",address="10.1.2.9"} 1',
    'apiserver{node="b",address="10.1.2.9"} 0',
    'imbalance_ratio 1.5',
    'unassigned 1',
    'lease_good 1',
    'lease_margin_seconds 3.5',
    'lease_duration_seconds 5',
    'moves_total{reason="dead"} 1',
    'takes_total 2',
    'take_seconds_total 0.02',
    'silences_total{reason="lease"} 1',
    'conflicts_total{mac="02:00:00:00:00:01"} 1',
    'refusals_total{kind="no-interface"} 1',
  ]) {
    expect(text).toContain(`\nk3s_lite_vip_${line}\n`);
  }
});

test('the margin of the own Lease is the least of a minute, and none when it is lost', () => {
  const metrics = vipMetrics();
  const failed = (lease: string, atMs: number, leftMs: number) => {
    const event = { type: 'vip.retry', lease, class: 'transient', attempts: 1, text: '', inMs: 0, leftMs } as const;
    metrics.onEvent({ seq: atMs, wallMs: 0, monotonicMs: atMs, event });
  };
  failed('vip-node-a', 1000, 900);
  failed('vip-node-a', 2000, 400);
  failed('vip-coordinator', 3000, 1);
  failed('vip-node-a', 4000, Infinity);
  const marginAt = (nowMs: number, leftMs: number | undefined = 3500) =>
    / (\S+)\n/.exec(
      metrics.text(status, { ...own, nowMs, leftMs }).split('\nk3s_lite_vip_lease_margin_seconds')[1] ?? '',
    )?.[1];
  expect(marginAt(5000)).toBe('0.4');
  expect(marginAt(5000, 100)).toBe('0.1');
  expect(marginAt(70_000)).toBe('3.5');
  const lost = { type: 'vip.lease', from: 'doubtful', to: 'lost', reason: '' } as const;
  metrics.onEvent({ seq: 1, wallMs: 0, monotonicMs: 71_000, event: { ...lost, lease: 'vip-coordinator' } });
  expect(marginAt(71_000)).toBe('3.5');
  metrics.onEvent({ seq: 2, wallMs: 0, monotonicMs: 72_000, event: { ...lost, lease: 'vip-node-a' } });
  // It is held again meanwhile.
  expect(marginAt(100_000)).toBe('0');
  expect(marginAt(140_000)).toBe('3.5');
  const none = metrics.text(status, { ...own, leftMs: undefined });
  expect(none).toContain('\nk3s_lite_vip_lease_margin_seconds 0\n');
});

test('the rules of alarm speak of metrics that there are', () => {
  const rules = readFileSync(path.resolve(import.meta.dirname, '../../packaging/vip-alerts.yaml'), 'utf8');
  const used = [...rules.matchAll(/k3s_lite_vip_\w+/g)].map(([name]) => name);
  const retry = { type: 'vip.retry', lease: 'vip-node-a', class: 'transient', attempts: 1, text: '' } as const;
  const conflict = { type: 'vip.conflict', address: '10.1.2.3', mac: '02:00:00:00:00:01' } as const;
  const text = textAfter(conflict, { ...retry, inMs: 50, leftMs: 900 });
  expect(used.length).toBeGreaterThan(3);
  for (const name of used) expect(text).toContain(`# TYPE ${name} `);
});
