/** `/metrics` of a real `up`: over the control socket and over TCP, by the same strict grammar. */
import { createServer } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readExposition } from '../report/exposition-grammar.ts';
import type { Program } from '../process/bundle.ts';
import { buildProgram, upPlace } from './up-place.ts';

let program: Program;
beforeAll(async () => {
  program = await buildProgram();
});
afterAll(() => program[Symbol.dispose]());

// base ← top; crash restarts once
const units = {
  base: 'about: Takes a moment\nrun: [sh, -c, "sleep 0.2; echo up; exec sleep 300"]\nready: {log: up}\n',
  top: 'about: Waits for base\nrun: [sleep, "300"]\nneeds: [{hard: base}]\n',
  crash:
    'about: Fails once\nrun: [sh, -c, "test -e ${dataDir}/once && exec sleep 300; touch ${dataDir}/once; exit 3"]\n' +
    'ready: {file: "${dataDir}/once"}\nrestart: {backoff: {first: 10ms}}\n',
};

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

test('[S8] a running k3s-lite tells Prometheus where the time of its start went', async () => {
  await using here = upPlace(program, units);
  const port = await freePort();
  here.run(['up', '--metrics-bind-address', `127.0.0.1:${String(port)}`]);
  const restarts = async () => {
    const { units: snapshots } = await here.client.status();
    return snapshots.find(({ unit, state }) => unit === 'crash' && state === 'ready')?.restarts;
  };
  await expect.poll(() => restarts().catch(() => 0), { timeout: 10_000 }).toBeGreaterThan(0);
  await expect.poll(here.isReady, { timeout: 10_000 }).toBe(true);

  const response = await fetch(`http://127.0.0.1:${String(port)}/metrics`);
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  const { out, ended } = here.run(['metrics'], 'pipe');
  expect((await ended).code).toBe(0);
  for (const text of [await response.text(), out()]) {
    const samples = readExposition(text);
    const value = (name: string, labels: Record<string, string> = {}) =>
      samples.find((s) => s.name === name && Object.entries(labels).every(([key, is]) => s.labels[key] === is))?.value;
    expect(value('k3s_lite_ready')).toBe(1);
    expect(value('k3s_lite_unit_start_seconds', { unit: 'base', stage: 'until_ready' })).toBeGreaterThan(0.19);
    expect(value('k3s_lite_edge_blocked_seconds_total', { unit: 'top', dependency: 'base' })).toBeGreaterThan(0.19);
    expect(value('k3s_lite_unit_restarts_total', { unit: 'crash' })).toBeGreaterThan(0);
    expect(value('k3s_lite_unit_exits_total', { unit: 'crash', how: 'code' })).toBe(1);
    expect(value('k3s_lite_probe_attempts_total', { unit: 'base', kind: 'log', outcome: 'passed' })).toBe(1);
    expect(value('k3s_lite_process_resident_memory_bytes')).toBeGreaterThan(1e7);
    expect(value('k3s_lite_process_cpu_seconds_total')).toBeGreaterThan(0.01);
    expect(value('k3s_lite_metrics_events_missed_total')).toBe(0);
    expect(value('k3s_lite_process_start_time_seconds')).toBeLessThan(Date.now() / 1000);
  }

  expect((await fetch(`http://127.0.0.1:${String(port)}/v1/status`)).status).toBe(404);
  expect((await fetch(`http://127.0.0.1:${String(port)}/metrics`, { method: 'POST' })).status).toBe(405);

  // The port is held now: a second one says so before it starts anything.
  await using other = upPlace(program, units);
  const second = await other.run(['up', '--metrics-bind-address', `127.0.0.1:${String(port)}`]).ended;
  expect(second.code).toBe(3);
  expect(second.err).toContain(`cannot serve metrics on 127.0.0.1:${String(port)}: the port is taken`);
});
