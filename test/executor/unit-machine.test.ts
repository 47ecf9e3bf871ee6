import { readFile, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import type { Input, Machine } from '../../src/executor/machine.ts';
import { step } from '../../src/executor/unit-machine.ts';
import {
  context,
  earlier,
  errorNamed,
  generation,
  inputNames,
  inputs,
  machineIn,
  policy,
  situationOf,
  situations,
  stepFrom,
  type InputName,
  type Situation,
} from './machine-fixture.ts';

/** Every transition there is. What is not written here must change nothing: the whole cross product is walked. */
const transitions: Record<Situation, Partial<Record<InputName, string>>> = {
  inactive: {
    'want up': 'waiting',
    'want down': 'stopped',
    adopt: 'starting + adopt next',
    'adopt, finished': 'done + adopt next',
  },
  waiting: {
    'want down': 'undoing + undo',
    'gates open': 'starting + start next',
    'gates blocked': 'blocked',
  },
  blocked: {
    'want down': 'undoing + undo',
    'gates open': 'starting + start next',
    'gates closed': 'waiting',
    'gates blocked': 'blocked',
  },
  starting: {
    'want down': 'stopping, then down + stop this',
    spawned: 'starting',
    passed: 'ready + watch this',
    finished: 'done',
    failed: 'stopping, then retry + stop this',
    'exited well': 'stopping, then retry + stop this',
    'exited badly': 'stopping, then retry + stop this',
    restart: 'stopping, then restart + stop this',
  },
  ready: {
    'want down': 'stopping, then down + stop this',
    'exited well': 'stopping, then retry + stop this',
    'exited badly': 'stopping, then retry + stop this',
    unhealthy: 'unhealthy',
    'unhealthy, restart': 'stopping, then retry + stop this',
    restart: 'stopping, then restart + stop this',
  },
  unhealthy: {
    'want down': 'stopping, then down + stop this',
    'exited well': 'stopping, then retry + stop this',
    'exited badly': 'stopping, then retry + stop this',
    healthy: 'ready',
    unhealthy: 'unhealthy',
    'unhealthy, restart': 'stopping, then retry + stop this',
    restart: 'stopping, then restart + stop this',
  },
  done: {
    'want down': 'stopping, then down + stop this',
    restart: 'stopping, then restart + stop this',
  },
  backoff: {
    'want up': 'waiting',
    'want down': 'undoing + undo',
    retry: 'waiting',
    restart: 'waiting',
  },
  failed: {
    'want up': 'waiting',
    'want down': 'undoing + undo',
    retry: 'waiting',
    restart: 'waiting',
  },
  'failed, not gone': {
    'want up': 'stopping, then restart + stop this',
    'want down': 'stopping, then down + stop this',
    retry: 'stopping, then restart + stop this',
    restart: 'stopping, then restart + stop this',
  },
  'stopping, then down': {
    'want up': 'stopping, then restart',
    gone: 'undoing + undo',
    'not gone': 'undoing + undo',
  },
  'stopping, then restart': {
    'want down': 'stopping, then down',
    gone: 'waiting',
    'not gone': 'failed',
  },
  'stopping, then retry': {
    restart: 'stopping, then restart',
    'want down': 'stopping, then down',
    gone: 'backoff',
    'not gone': 'failed',
  },
  undoing: {
    undone: 'stopped',
  },
  stopped: {
    'want up': 'waiting',
  },
};

const cross = situations.flatMap((from) => inputNames.map((input) => [from, input] as const));

test.each(cross)('%s, on "%s", goes where the table says', (from, input) => {
  expect(stepFrom(from, input)).toBe(transitions[from][input] ?? '·');
});

test('the committed drawing of the transitions is the one that the machine makes', async () => {
  const file = new URL('transitions.golden.md', import.meta.url);
  const rows = situations.flatMap((from) =>
    inputNames.flatMap((input) => {
      const result = stepFrom(from, input);
      return result === '·' ? [] : [`| ${from} | ${input} | ${result.replace(' + ', ' | ')} |`];
    }),
  );
  const padded = rows.map((row) => (row.split('|').length === 5 ? row.replace(/ \|$/, ' | |') : row));
  const table = ['| state | input | next state | effect |', '| --- | --- | --- | --- |', ...padded, ''].join('\n');
  if (process.env['UPDATE_GOLDEN'] === '1') await writeFile(file, table);
  expect(await readFile(file, 'utf8')).toBe(table);
});

test('an adopted run keeps its generation and its process; a failure of it is the first one', () => {
  const { machine } = step(machineIn('inactive'), inputs.adopt, context);
  expect(machine).toMatchObject({ desired: 'up', generation: generation + 1, restarts: 0, failedStarts: 0 });
  expect(machine.state).toEqual({ id: 'starting', pid: 44 });
  const ready = step(machine, { ...inputs.passed, generation: generation + 1 }, context).machine;
  expect(ready.state).toEqual({ id: 'ready', pid: 44, sinceMs: context.nowMs });
  const failed = step(machine, { ...inputs.failed, generation: generation + 1 }, context);
  expect(failed.machine).toMatchObject({ failedStarts: 1, state: { id: 'stopping', next: 'retry' } });
  expect(failed.effects).toEqual([{ type: 'stop', generation: generation + 1 }]);
});

test('what was adopted is undone like what was started', () => {
  const { machine } = step(machineIn('inactive'), inputs['adopt, finished'], context);
  const stopping = step(machine, inputs['want down'], context).machine;
  expect(situationOf(step(stopping, { ...inputs.gone, generation: generation + 1 }, context).machine)).toBe('undoing');
});

const generationInputs = inputNames.filter((name) => 'generation' in inputs[name]);

test.each(situations.flatMap((from) => generationInputs.map((name) => [from, name] as const)))(
  '%s never believes "%s" of another generation',
  (from, name) => {
    const machine = machineIn(from);
    for (const other of [generation - 1, generation + 1]) {
      const result = step(machine, { ...inputs[name], generation: other } as Input, context);
      expect(result.machine).toBe(machine);
      expect(result.effects).toEqual([]);
    }
  },
);

test('without `undo` a stopped generation is down at once', () => {
  const changes = ['waiting', 'blocked', 'backoff', 'failed'] as const;
  for (const from of changes) expect(stepFrom(from, 'want down', { hasUndo: false })).toBe('stopped');
  expect(stepFrom('stopping, then down', 'gone', { hasUndo: false })).toBe('stopped');
});

test('a unit that was never started has nothing to undo', () => {
  const fresh = machineIn('waiting', { dirty: false });
  const { machine, effects } = step(fresh, inputs['want down'], context);
  expect([situationOf(machine), effects]).toEqual(['stopped', []]);
});

test('a unit wanted up again while `undo` runs starts when that is over', () => {
  const wanted = step(machineIn('undoing'), inputs['want up'], context);
  expect(situationOf(wanted.machine)).toBe('undoing');
  expect(situationOf(step(wanted.machine, inputs.undone, context).machine)).toBe('waiting');
});

test('with survivors a unit that is wanted up again while `undo` runs was never down: it is stopped again', () => {
  const tired = machineIn('undoing', { hasSurvivors: true, exhausted: true, failedStarts: 3 });
  const wanted = step(tired, inputs['want up'], context).machine;
  const { machine, effects } = step(wanted, inputs.undone, context);
  expect(situationOf(machine)).toBe('stopping, then restart');
  expect(effects).toEqual([{ type: 'stop', generation }]);
  expect(machine).toMatchObject({ exhausted: true, failedStarts: 3, hasSurvivors: true });
});

test('a clean exit ends a service of `restart: on-failure`, and is a failure under `always`', () => {
  for (const when of ['on-failure', 'never'] as const) {
    const options = { ...context, policy: { ...policy, when } };
    const { machine } = step(machineIn('ready'), inputs['exited well'], options);
    expect([situationOf(machine), machine.desired]).toEqual(['stopping, then down', 'down']);
  }
  expect(stepFrom('ready', 'exited badly', { when: 'on-failure' })).toBe('stopping, then retry + stop this');
});

test('with `restart: never` the first failure is final, without a slow retry', () => {
  const options = { ...context, policy: { ...policy, when: 'never' as const } };
  const failing = step(machineIn('starting'), inputs.failed, options);
  expect(failing.machine.exhausted).toBe(true);
  const { state } = step(failing.machine, inputs.gone, options).machine;
  expect(state).toMatchObject({ id: 'failed' });
  expect(state).not.toHaveProperty('retryAtMs');
});

test('being ready clears the last error, the failed starts and the limit', () => {
  const tired = machineIn('starting', { failedStarts: 2, exhausted: true });
  const { machine } = step(tired, inputs.passed, context);
  expect(machine).toMatchObject({ failedStarts: 0, exhausted: false, state: { id: 'ready', sinceMs: 1000, pid: 42 } });
  expect(machine).not.toHaveProperty('lastError');
});

test('going down forgets the failures; the next start is no restart', () => {
  const tired = machineIn('stopping, then down', { failedStarts: 2, failuresMs: [1, 2], retries: 4, exhausted: true });
  const { machine } = step(tired, inputs.gone, { ...context, policy: { ...policy, hasUndo: false } });
  expect(machine).toMatchObject({ failedStarts: 0, failuresMs: [], retries: 0, exhausted: false, dirty: false });
  const again = step(step(machine, inputs['want up'], context).machine, inputs['gates open'], context).machine;
  expect(again).toMatchObject({ generation: generation + 1, restarts: 0 });
});

test('a start after a failure is counted as a restart', () => {
  const { machine } = step(machineIn('waiting', { restarts: 3 }), inputs['gates open'], context);
  expect(machine).toMatchObject({ generation: generation + 1, restarts: 4 });
});

test('what survived a stop is remembered until it is gone, also when the unit is down', () => {
  const failing = step(machineIn('stopping, then retry'), inputs['not gone'], context).machine;
  expect(failing).toMatchObject({ hasSurvivors: true, exhausted: true, state: { id: 'failed' } });
  const down = step(machineIn('stopping, then down'), inputs['not gone'], {
    ...context,
    policy: { ...policy, hasUndo: false },
  });
  expect(describeNext(down.machine, 'want up')).toBe('stopping, then restart');
  const retried = step(failing, inputs.retry, context).machine;
  expect(step(retried, inputs.gone, context).machine).toMatchObject({ hasSurvivors: false, state: { id: 'waiting' } });
});

const describeNext = (machine: Machine, input: InputName) => situationOf(step(machine, inputs[input], context).machine);

test('a blocked unit carries the newest error of what blocks it', () => {
  const error = errorNamed('another root');
  const { machine } = step(machineIn('blocked'), { type: 'gates', gates: 'blocked', error }, context);
  expect(machine.state).toEqual({ id: 'blocked', error });
  expect(machine.lastError, 'its own failure is kept for later').toBe(earlier);
});

test('an unhealthy unit keeps its process and its time of readiness', () => {
  const sick = step(machineIn('ready'), inputs.unhealthy, context).machine;
  expect(sick.state).toMatchObject({ id: 'unhealthy', pid: 42, sinceMs: 0 });
  expect(step(sick, inputs.healthy, context).machine.state).toEqual({ id: 'ready', pid: 42, sinceMs: 0 });
});
