/** The arithmetic of failing: counts, windows, backoff and what resets them; and what no sequence of inputs can break. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { initialMachine, type Effect, type Input, type Machine } from '../../src/executor/machine.ts';
import { step } from '../../src/executor/unit-machine.ts';
import { errorNamed, inputNames, inputs, policy, type InputName } from './machine-fixture.ts';

/** A machine that is told what happens, at times that the test sets. */
function life(change: Partial<typeof policy> = {}) {
  let machine: Machine = initialMachine;
  const time = { nowMs: 0 };
  const send = (input: Input): readonly Effect[] => {
    const result = step(machine, input, {
      ...time,
      random: () => 0.5,
      policy: { ...policy, hasUndo: false, ...change },
    });
    machine = result.machine;
    return result.effects;
  };
  const now = () => machine.generation;
  return {
    at: (ms: number) => void (time.nowMs = ms),
    pass: (ms: number) => void (time.nowMs += ms),
    get machine() {
      return machine;
    },
    /** Milliseconds until the next try, or undefined when none is planned. */
    get retryInMs() {
      return 'retryAtMs' in machine.state ? machine.state.retryAtMs - time.nowMs : undefined;
    },
    send,
    start() {
      send({ type: 'want', desired: 'up' });
      send({ type: 'retry' });
      send({ type: 'gates', gates: 'open' });
    },
    failToStart() {
      send({ type: 'failed', generation: now(), error: errorNamed('start') });
      send({ type: 'stopped', generation: now() });
    },
    becomeReady: () => send({ type: 'passed', generation: now(), finished: false }),
    exit() {
      send({ type: 'exited', generation: now(), clean: false, error: errorNamed('exit') });
      send({ type: 'stopped', generation: now() });
    },
  };
}

test('[S5] failed starts are retried after 100, 200, 400 ms and so on, capped at 1 s', () => {
  const unit = life({ limitStarts: 100 });
  const delays = Array.from({ length: 6 }, () => {
    unit.start();
    unit.failToStart();
    return unit.retryInMs;
  });
  expect(delays).toEqual([100, 200, 400, 800, 1000, 1000]);
});

test('a unit that was never ready reaches its limit however slowly it fails', () => {
  const unit = life();
  for (let attempt = 1; attempt <= 3; attempt += 1) {
    unit.start();
    unit.pass(policy.limitWithinMs * 10);
    expect(unit.machine.exhausted).toBe(false);
    unit.failToStart();
  }
  expect(unit.machine).toMatchObject({ exhausted: true, failedStarts: 3, state: { id: 'failed' } });
  expect(unit.retryInMs, 'slow retry: every backoff.max').toBe(policy.backoff.maxMs);
});

test('a slow retry that fails leads to the next slow retry, one that succeeds clears the limit', () => {
  const unit = life({ limitStarts: 1 });
  for (let round = 0; round < 5; round += 1) {
    unit.start();
    unit.failToStart();
    expect([unit.machine.state.id, unit.retryInMs]).toEqual(['failed', policy.backoff.maxMs]);
  }
  unit.start();
  unit.becomeReady();
  expect(unit.machine).toMatchObject({ exhausted: false, failedStarts: 0 });
});

test('once it was ready, only failures within the window count', () => {
  const unit = life({ resetAfterMs: 1_000_000 });
  const failAt = (ms: number) => {
    unit.start();
    unit.becomeReady();
    unit.at(ms);
    unit.exit();
  };
  failAt(1000);
  failAt(5000);
  failAt(11_000); // The first is exactly 10 s old: out of the window.
  expect(unit.machine).toMatchObject({ exhausted: false, failuresMs: [5000, 11_000], state: { id: 'backoff' } });
  failAt(14_999);
  expect(unit.machine).toMatchObject({ exhausted: true, state: { id: 'failed' } });
});

test('after a quiet time the failures and the backoff begin anew', () => {
  const unit = life({ limitStarts: 10 });
  for (const expectedMs of [100, 200, 400]) {
    unit.start();
    unit.becomeReady();
    unit.pass(policy.resetAfterMs - 1);
    unit.exit();
    expect(unit.retryInMs).toBe(expectedMs);
  }
  unit.start();
  unit.becomeReady();
  unit.pass(policy.resetAfterMs);
  unit.exit();
  expect(unit.retryInMs).toBe(100);
  expect(unit.machine.failuresMs).toHaveLength(1);
});

test('a restart on request is no failure', () => {
  const unit = life({ limitStarts: 1 });
  unit.start();
  unit.becomeReady();
  unit.send({ type: 'restart' });
  unit.send({ type: 'stopped', generation: 1 });
  expect(unit.machine).toMatchObject({ state: { id: 'waiting' }, exhausted: false, failuresMs: [] });
});

/** An input for the generation that runs, or for the one before it. */
const anyInput = fc.record({
  name: fc.constantFrom<InputName>(...inputNames),
  isStale: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  passMs: fc.nat({ max: 20_000 }),
});

test('no sequence of inputs breaks what must always hold', () => {
  fc.assert(
    fc.property(
      fc.array(anyInput, { maxLength: 60 }),
      fc.constantFrom('always', 'on-failure', 'never'),
      fc.boolean(),
      (sequence, when, hasUndo) => {
        const unit = life({ when: when as 'always', hasUndo });
        /** The generation that was started and is not known to be gone. */
        let running: number | undefined;
        for (const { name, isStale, passMs } of sequence) {
          unit.pass(passMs);
          const before = unit.machine;
          const input: Input = inputs[name];
          const generation = before.generation - (isStale ? 1 : 0);
          const sent = 'generation' in input ? { ...input, generation } : input;
          const effects = unit.send(sent);
          const { machine } = unit;
          if ('generation' in input && isStale) expect(machine).toBe(before);
          expect(machine.generation).toBeGreaterThanOrEqual(before.generation);
          if (before.state.id === 'stopping' && name === 'gone' && !isStale && !before.state.undoing)
            running = undefined;
          for (const effect of effects) {
            if (effect.type === 'start') {
              expect(running, 'never two without a verified stop in between').toBeUndefined();
              expect([before.state.id, name]).toEqual([expect.stringMatching(/waiting|blocked/), 'gates open']);
              expect(effect.generation).toBe(before.generation + 1);
              running = effect.generation;
            }
            if (effect.type === 'stop') expect(effect.generation).toBe(machine.generation);
          }
          if (machine.desired === 'down')
            expect(machine.state.id).not.toMatch(/waiting|blocked|starting|backoff|failed/);
        }
        // Whatever has happened: wanted down, it is down once what is left is gone and undone.
        unit.send({ type: 'want', desired: 'down' });
        unit.send({ type: 'stopped', generation: unit.machine.generation });
        unit.send({ type: 'undone' });
        expect(unit.machine.state.id).toBe('stopped');
        expect(unit.machine).toMatchObject({ exhausted: false, failedStarts: 0, retries: 0, dirty: false });
      },
    ),
    { numRuns: 2000 },
  );
});
