import { expect, test } from 'vitest';
import { createExecutor } from '../../src/executor/create-executor.ts';
import { lastOutput } from '../../src/executor/failure.ts';
import type { ProcessPort } from '../../src/process/process-port.ts';
import { fakeClock } from '../kit/fake-clock.ts';
import { fakeGraph } from '../kit/fake-graph.ts';
import { fakeNotify, fakeProbes } from '../kit/fake-probe.ts';
import { fakeProcesses } from '../kit/fake-process.ts';

test('a stop that cannot find out whether all has ended does not count: it is told, and no next generation runs beside it', async () => {
  const clock = fakeClock();
  const fake = fakeProcesses({ clock, script: (_unit, generation) => (generation === 1 ? { exitAfterMs: 5 } : {}) });
  let failures = 1;
  let launches = 0;
  const process: ProcessPort = {
    ...fake,
    launch(request) {
      launches += 1;
      const running = fake.launch(request);
      return {
        ...running,
        pid: running.pid,
        exited: running.exited,
        stop(options) {
          failures -= 1;
          return failures < 0 ? running.stop(options) : Promise.reject(new Error('EMFILE: too many open files'));
        },
      };
    },
  };
  const ports = { clock, random: () => 0.5, process, notify: fakeNotify(), builtins: new Map() };
  const executor = createExecutor({ graph: fakeGraph('a'), ports: { ...ports, createProbe: fakeProbes(fake) } });
  executor.start();
  await clock.run(executor.unit('a').when(({ state }) => state === 'failed'));
  expect(executor.unit('a').current.lastError).toMatchObject({
    code: 'ERR_STOP_INCOMPLETE',
    detail: { reason: expect.stringContaining('EMFILE') as string },
  });
  expect(launches).toBe(1);
  // Looked at again before the next start, this time with success.
  await clock.run(executor.unit('a').when(({ state, generation }) => state === 'ready' && generation === 2));
  expect((await clock.run(executor.stop())).leftovers).toEqual([]);
});

test('an error carries the beginning of a very long line only', () => {
  const [line = ''] = lastOutput({ last: () => ['x'.repeat(60_000)] });
  expect(line).toMatch(/^x{2000}…$/);
});
