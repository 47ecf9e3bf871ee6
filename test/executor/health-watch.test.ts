/** `api ─► database`, whose health is watched: who waits for it comes first. */
import { expect, test } from 'vitest';
import { createExecutor } from '../../src/executor/create-executor.ts';
import { fakeClock } from '../kit/fake-clock.ts';
import { fakeGraph } from '../kit/fake-graph.ts';
import { fakeNotify, fakeProbes } from '../kit/fake-probe.ts';
import { fakeProcesses } from '../kit/fake-process.ts';

/** Its executor, and in which order things are done: programs launched, checks of health made. */
function started() {
  const clock = fakeClock();
  const fake = fakeProcesses({ clock, script: () => ({}) });
  const order: string[] = [];
  const probes = fakeProbes(fake);
  const executor = createExecutor({
    graph: fakeGraph('api -> hard database', {
      database: {
        ready: { tcp: '127.0.0.1:5432' },
        health: { tcp: '127.0.0.1:5433', every: 1000, timeout: 500, failures: 3, successes: 1 },
      },
    }),
    ports: {
      clock,
      random: () => 0.5,
      process: {
        ...fake,
        launch(request) {
          order.push(`launch ${request.unit.name}`);
          return fake.launch(request);
        },
      },
      notify: fakeNotify(),
      builtins: new Map(),
      createProbe(spec, context) {
        if ('tcp' in spec && spec.tcp === '127.0.0.1:5433') order.push('watch database');
        return probes(spec, context);
      },
    },
  });
  executor.start();
  return { clock, executor, order };
}

test('a unit that waits is started before the health of what it waited for is watched', async () => {
  const { clock, executor, order } = started();
  await clock.run(executor.unit('api').ready());
  await clock.settle();
  expect(order).toEqual(['launch database', 'launch api', 'watch database']);
  await clock.run(executor.stop());
  expect(clock.pendingTimers).toBe(0);
});

test('what is stopped as soon as it is ready is not watched any more', async () => {
  const { clock, executor, order } = started();
  const database = executor.unit('database');
  database.subscribe(({ state }) => {
    if (state === 'ready') void executor.stop();
  });
  await clock.advance(10_000);
  expect(database.current.state).toBe('stopped');
  expect(order).toEqual(['launch database']);
  expect(clock.pendingTimers).toBe(0);
});
