import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { balancerMetrics, metricRows } from '../../src/balancer/balancer-metrics.ts';
import type { BalancerEvent } from '../../src/balancer/balancer-event.ts';
import { Routing } from './routing-kit.ts';

const [a, b] = ['10.0.0.1:6443', '10.0.0.2:6443'] as const;
const counts = { connections: 3, bytesUp: 10, bytesDown: 20, refused: 1 };

function measured(routing: Routing, events: readonly BalancerEvent[]): readonly string[] {
  const metrics = balancerMetrics('apiserver');
  events.forEach((event, index) => metrics.onEvent({ seq: index + 1, wallMs: 0, monotonicMs: 0, event }));
  return metrics.text(routing.state, counts, routing.nowMs).split('\n');
}

test('[L8] K3s’s three, under our prefix', () => {
  const routing = new Routing().update(a, b).well(a).dialled(a);
  const decision = { type: 'lb.decision', connection: 1, candidates: [], attempts: [], tookMs: 3 } as const;
  const lines = measured(routing, [
    { type: 'lb.routed', server: a, why: 'active', tookMs: [3] },
    {
      ...decision,
      gaveUp: 'all servers failed',
      tookMs: 20_000,
      attempts: [{ server: a, tookMs: 1, outcome: 'ECONNREFUSED' }],
    },
    { ...decision, gaveUp: 'the client left' },
  ]);
  expect(lines).toContain(`k3s_lite_loadbalancer_server_connections{name="apiserver",server="${a}"} 1`);
  expect(lines).toContain(`k3s_lite_loadbalancer_server_health{name="apiserver",server="${a}"} 7`);
  expect(lines).toContain(`k3s_lite_loadbalancer_server_health{name="apiserver",server="${b}"} 3`);
  const dial = 'k3s_lite_loadbalancer_dial_duration_seconds';
  expect(lines).toContain(`${dial}_bucket{name="apiserver",status="success",le="0.002"} 0`);
  expect(lines).toContain(`${dial}_bucket{name="apiserver",status="success",le="0.004"} 1`);
  expect(lines).toContain(`${dial}_bucket{name="apiserver",status="error",le="16.384"} 0`);
  expect(lines).toContain(`${dial}_bucket{name="apiserver",status="error",le="+Inf"} 1`);
  expect(lines).toContain(`${dial}_count{name="apiserver",status="success"} 1`);
  expect(lines).toContain(`k3s_lite_loadbalancer_server_failures_total{name="apiserver",server="${a}"} 1`);
  expect(lines).toContain('k3s_lite_loadbalancer_decisions_total{name="apiserver",outcome="the client left"} 1');
  expect(lines).toContain('k3s_lite_loadbalancer_decisions_total{name="apiserver",outcome="first"} 1');
});

test('counters of a server go with it: addresses come and go, and none may stay for ever', () => {
  const routing = new Routing().update(a, b);
  const events = [...routing.events, ...routing.well(a).events, ...routing.checked(b).events];
  const name = `k3s_lite_loadbalancer_server_transitions_total{name="apiserver",server="${b}",to="recovering"} 1`;
  expect(measured(routing, events)).toContain(name);
  events.push(...routing.update(a).events);
  expect(measured(routing, events).filter((line) => line.includes(b))).toEqual([]);
});

test('every metric is by the grammar, once, and on the page', async () => {
  const routing = new Routing().update(a, b).well(a).dialled(a);
  const text = measured(routing, [...routing.events]).join('\n');
  const sample = /^[a-z0-9_]+\{(?:[a-z]+="(?:[^"\\\n]|\\.)*",?)*\} -?\d+(?:\.\d+)?(?:e[+-]?\d+)?$/;
  for (const line of text.split('\n')) if (line !== '' && !line.startsWith('#')) expect(line).toMatch(sample);
  const page = await readFile(new URL('../../docs/balancer.md', import.meta.url), 'utf8');
  for (const [metric, , help] of metricRows)
    expect(page).toContain(`| \`k3s_lite_loadbalancer_${metric}\` | ${help} |`);
});
