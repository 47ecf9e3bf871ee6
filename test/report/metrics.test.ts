import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseBindAddress } from '../../src/control/bind-address.ts';
import type { Event } from '../../src/event/event.ts';
import { createEventStream } from '../../src/event/stream.ts';
import { Samples } from '../../src/report/metrics/exposition.ts';
import { metricTable } from '../../src/report/metrics/metric-table.ts';
import { metricsFold } from '../../src/report/metrics/metrics-fold.ts';
import { metricsReference } from '../../src/report/metrics/metrics-reference.ts';
import { fakeClock } from '../kit/fake-clock.ts';
import { readExposition } from './exposition-grammar.ts';
import { envelopes, goodStart, moment, portConflict, snapshot, state } from './facts.ts';

function fold(events: ReturnType<typeof envelopes>, nowMs = 10_000) {
  const metrics = metricsFold();
  for (const envelope of events) metrics.onEvent(envelope);
  const samples = new Samples();
  metrics.collect(samples, nowMs);
  const read = readExposition(samples.toText());
  return (name: string, labels: Record<string, string> = {}) =>
    read.find(
      (sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
    )?.value;
}

describe('the fold of metrics', () => {
  // etcd → kube-apiserver → kubelet
  test('[S8] tells the stages of each start, and how long each edge held its unit up', () => {
    const value = fold(goodStart());
    const stageOf = (unit: string, stage: string) => value('k3s_lite_unit_start_seconds', { unit, stage });
    expect(['waiting', 'spawn', 'until_ready'].map((stage) => stageOf('kube-apiserver', stage))).toEqual([
      0.4, 0.002, 2.598,
    ]);
    expect(stageOf('kubelet', 'waiting')).toBe(3);
    expect(value('k3s_lite_edge_blocked_seconds_total', { unit: 'kubelet', dependency: 'kube-apiserver' })).toBe(3);
    expect(value('k3s_lite_start_seconds')).toBe(3.5);
    expect(value('k3s_lite_ready')).toBe(1);
    expect(value('k3s_lite_unit_state', { unit: 'etcd', state: 'ready' })).toBe(1);
    expect(value('k3s_lite_unit_state', { unit: 'etcd', state: 'failed' })).toBe(0);
  });

  test('an edge that blocks now has been blocking until now', () => {
    const { etcd } = portConflict();
    const waitingFor = [{ unit: 'etcd', kind: 'hard' as const, state: 'failed' as const, since: moment(0) }];
    const value = fold(
      envelopes(
        [0, state('kubelet', 'inactive', snapshot('kubelet', 'waiting', { waitingFor }))],
        [500, state('kubelet', 'waiting', snapshot('kubelet', 'blocked', { waitingFor, lastError: etcd }))],
      ),
      2500,
    );
    expect(value('k3s_lite_edge_blocked_seconds_total', { unit: 'kubelet', dependency: 'etcd', kind: 'hard' })).toBe(
      2.5,
    );
  });

  test('counts exits, failures and attempts by kind and outcome, and knows no other kind', () => {
    const attempt = (check: string, outcome: string): Event => ({
      type: 'probe.attempt',
      unit: 'api',
      generation: 1,
      phase: 'ready',
      check,
      attempt: { at: 0, ms: 1, outcome },
      count: 1,
    });
    const exited = (exit: Extract<Event, { type: 'process.exited' }>['exit']): Event => ({
      type: 'process.exited',
      unit: 'api',
      generation: 1,
      pid: 5,
      exit,
    });
    const value = fold(
      envelopes(
        [1, attempt('https /readyz', '500')],
        [2, attempt('https /readyz', 'ok')],
        [3, attempt('https /other', 'ok')],
        [4, attempt('all(tcp 127.0.0.1:1, notify)', 'ok')],
        [5, attempt('weird', 'ok')],
        [6, exited({ kind: 'code', code: 0 })],
        [7, exited({ kind: 'code', code: 3 })],
        [8, exited({ kind: 'signal', signal: 'SIGKILL' })],
        [9, { type: 'unit.failed', unit: 'api', error: portConflict().etcd }],
      ),
    );
    const attempts = (kind: string, outcome: string) =>
      value('k3s_lite_probe_attempts_total', { unit: 'api', phase: 'ready', kind, outcome });
    expect([attempts('https', 'failed'), attempts('https', 'passed'), attempts('all', 'passed')]).toEqual([1, 2, 1]);
    expect(attempts('other', 'passed')).toBe(1);
    const exits = ['clean', 'code', 'signal'].map((how) => value('k3s_lite_unit_exits_total', { unit: 'api', how }));
    expect(exits).toEqual([1, 1, 1]);
    expect(value('k3s_lite_unit_failures_total', { unit: 'api' })).toBe(1);
  });

  test('from unhealthy back to ready is no start', () => {
    const value = fold([
      ...goodStart(),
      ...envelopes(
        [5000, state('etcd', 'ready', snapshot('etcd', 'unhealthy'))],
        [9000, state('etcd', 'unhealthy', snapshot('etcd', 'ready'))],
      ),
    ]);
    expect(value('k3s_lite_unit_start_seconds', { unit: 'etcd', stage: 'until_ready' })).toBe(0.398);
  });

  test('keeps what the ring of the stream has overwritten, and says what it missed itself', async () => {
    const clock = fakeClock(0);
    const stream = createEventStream({ clock, capacity: 10 });
    const metrics = metricsFold();
    stream.subscribe(metrics);
    const exit: Event = { type: 'process.exited', unit: 'a', generation: 1, pid: 1, exit: { kind: 'unknown' } };
    for (let turn = 0; turn < 5; turn += 1) {
      for (let count = 0; count < 8; count += 1) stream.emit(exit);
      await clock.settle();
    }
    for (let count = 0; count < 14; count += 1) stream.emit(exit);
    await clock.settle();
    const samples = new Samples();
    metrics.collect(samples, 0);
    const read = readExposition(samples.toText());
    expect(read.find(({ name }) => name === 'k3s_lite_unit_exits_total')?.value).toBe(50);
    expect(read.find(({ name }) => name === 'k3s_lite_metrics_events_missed_total')?.value).toBe(4);
    expect(stream.dropped).toBe(4);
  });
});

test('label values are escaped, and the grammar of this test notices when they are not', () => {
  const samples = new Samples();
  const unit = 'a"b\\c\nd';
  samples.add('k3s_lite_unit_generation', { unit }, 1);
  expect(readExposition(samples.toText())).toEqual([{ name: 'k3s_lite_unit_generation', labels: { unit }, value: 1 }]);
  const broken = samples.toText().replace('\\"', '"');
  expect(() => readExposition(broken)).toThrow('by the grammar');
});

test('docs/metrics.md is what the table says', () => {
  const page = readFileSync(path.resolve(import.meta.dirname, '../../docs/metrics.md'), 'utf8');
  expect(page).toBe(metricsReference());
  for (const { name } of metricTable) expect(page).toContain(`\`${name}\``);
});

test.each([
  ['127.0.0.1:9464', { host: '127.0.0.1', port: 9464 }],
  ['[::1]:0', { host: '::1', port: 0 }],
  ['localhost:80', { host: 'localhost', port: 80 }],
])('--metrics-bind-address %s', (text, address) => {
  expect(parseBindAddress(text)).toEqual(address);
});

test.each([
  ['9464', '127.0.0.1:9464 for this machine alone'],
  [':9464', '127.0.0.1:9464 for this machine alone'],
  ['127.0.0.1', 'like 127.0.0.1:9464'],
  ['127.0.0.1:70000', 'like 127.0.0.1:9464'],
  ['::1:9464', 'like 127.0.0.1:9464'],
])('--metrics-bind-address %s is refused with a remedy', (text, hint) => {
  expect(() => parseBindAddress(text)).toThrow(
    expect.objectContaining({
      code: 'ERR_CONFIG',
      detail: { value: text, hint: expect.stringContaining(hint) as string },
    }),
  );
});
