/**
 *   api ─► database, which fails once and then takes a minute and a half
 *
 * A unit that waits says for what, since when and with which last error: after 1, 5 and 30 s, and then no more.
 */
import { expect, test } from 'vitest';
import { createExecutor } from '../../src/executor/create-executor.ts';
import { fakeClock } from '../kit/fake-clock.ts';
import { fakeGraph } from '../kit/fake-graph.ts';
import { fakeNotify, fakeProbes } from '../kit/fake-probe.ts';
import { fakeProcesses } from '../kit/fake-process.ts';

test('[S8] a unit that waits says so after 1, 5 and 30 s: for what, since when, with which last error', async () => {
  const clock = fakeClock();
  const fake = fakeProcesses({
    clock,
    script: (unit, generation) =>
      unit === 'database' ? (generation === 1 ? { readyAfterMs: null, exitAfterMs: 5 } : { readyAfterMs: 90_000 }) : {},
  });
  const ports = { clock, random: () => 0.5, process: fake, notify: fakeNotify(), builtins: new Map() };
  const graph = fakeGraph('api -> hard database', {
    database: { ready: { tcp: '127.0.0.1:5432' }, startWithin: 120_000 },
  });
  const executor = createExecutor({ graph, ports: { ...ports, createProbe: fakeProbes(fake) } });
  executor.start();
  await clock.run(executor.unit('api').ready(), 200_000);

  const told = executor.events
    .history()
    .flatMap(({ monotonicMs, event }) =>
      event.type === 'unit.waiting' && event.unit === 'api'
        ? [{ atMs: Math.round(monotonicMs), waitedMs: event.waitedMs, gates: event.snapshot.waitingFor }]
        : [],
    );
  expect(told.map(({ atMs, waitedMs }) => [waitedMs, atMs])).toEqual([
    [1000, 1000],
    [5000, 5000],
    [30_000, 30_000],
  ]);
  for (const { gates } of told) {
    expect(gates).toMatchObject([
      { unit: 'database', kind: 'hard', state: 'starting', lastError: { code: 'ERR_EXITED' } },
    ]);
  }
  await clock.run(executor.stop());
});
