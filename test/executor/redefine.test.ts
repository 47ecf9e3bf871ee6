import { expect, test } from 'vitest';
import { createExecutor } from '../../src/executor/create-executor.ts';
import type { ProcessPort } from '../../src/process/process-port.ts';
import { fakeClock } from '../kit/fake-clock.ts';
import { fakeUnit, graphOfUnits } from '../kit/fake-graph.ts';
import { fakeNotify, fakeProbes } from '../kit/fake-probe.ts';
import { fakeProcesses } from '../kit/fake-process.ts';

const graphWith = (undo: string) => graphOfUnits([{ ...fakeUnit('a', { undo: [undo] }), hash: undo }]);

test('what a unit did is undone by the definition that did it, also when a reload comes while it is being stopped', async () => {
  const clock = fakeClock();
  const fake = fakeProcesses({ clock, script: () => ({ stopTakesMs: 100 }) });
  const undone: (string | undefined)[] = [];
  const process: ProcessPort = {
    ...fake,
    runToEnd(options) {
      undone.push(options.argv[0]);
      return fake.runToEnd(options);
    },
  };
  const ports = { clock, random: () => 0.5, process, notify: fakeNotify(), builtins: new Map() };
  const executor = createExecutor({ graph: graphWith('old'), ports: { ...ports, createProbe: fakeProbes(fake) } });
  const channel = executor.unit('a');
  executor.start();
  await clock.run(channel.ready());
  executor.stopUnits(['a']);
  // It has not even begun to stop.
  await clock.run(executor.reload(graphWith('new')));
  await clock.run(channel.when(({ state }) => state === 'stopped'));
  expect(undone).toEqual(['old']);

  executor.startUnits(['a']);
  await clock.run(channel.ready());
  await clock.run(executor.stop());
  expect(undone).toEqual(['old', 'new']);
});
