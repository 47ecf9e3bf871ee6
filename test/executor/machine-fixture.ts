/** Every situation a unit can be in and every input it can get, for the tests of the unit machine. */
import { ReadinessError } from '../../src/error/readiness-error.ts';
import {
  initialMachine,
  type Input,
  type Machine,
  type MachineState,
  type Policy,
  type Step,
} from '../../src/executor/machine.ts';
import { step } from '../../src/executor/unit-machine.ts';

export const errorNamed = (reason: string): ReadinessError =>
  new ReadinessError('ERR_NOT_READY', {
    component: 'unit',
    generation: 1,
    check: 'test',
    phase: 'ready',
    reason,
    attempts: [],
    attemptCount: 0,
    elapsedMs: 0,
    lastLogLines: [],
  });

export const policy: Policy = {
  when: 'always',
  backoff: { firstMs: 100, factor: 2, maxMs: 1000, jitter: 0 },
  limitStarts: 3,
  limitWithinMs: 10_000,
  resetAfterMs: 5000,
  hasUndo: true,
};

/** The generation that runs in every situation, so that "older" and "newer" both exist. */
export const generation = 7;

export const earlier = errorNamed('earlier');
const stopping = (next: 'down' | 'restart' | 'retry', undoing = false): MachineState => ({
  id: 'stopping',
  next,
  undoing,
});

const stateOf = {
  inactive: { id: 'inactive' },
  waiting: { id: 'waiting' },
  blocked: { id: 'blocked', error: earlier },
  starting: { id: 'starting', pid: 42 },
  ready: { id: 'ready', pid: 42, sinceMs: 0 },
  unhealthy: { id: 'unhealthy', pid: 42, sinceMs: 0, error: earlier },
  done: { id: 'done' },
  backoff: { id: 'backoff', retryAtMs: 5000, error: earlier },
  failed: { id: 'failed', retryAtMs: 5000, error: earlier },
  'failed, not gone': { id: 'failed', retryAtMs: 5000, error: earlier },
  'stopping, then down': stopping('down'),
  'stopping, then restart': stopping('restart'),
  'stopping, then retry': stopping('retry'),
  undoing: stopping('down', true),
  stopped: { id: 'stopped' },
} as const satisfies Record<string, MachineState>;

export type Situation = keyof typeof stateOf;
export const situations = Object.keys(stateOf) as readonly Situation[];

const isAtRest = (name: Situation) => name === 'inactive' || name === 'stopped';

export function machineIn(name: Situation, change: Partial<Machine> = {}): Machine {
  const wantsDown = isAtRest(name) || name === 'stopping, then down' || name === 'undoing';
  return {
    ...initialMachine,
    state: stateOf[name],
    desired: wantsDown ? 'down' : 'up',
    generation,
    dirty: !isAtRest(name),
    hasSurvivors: name === 'failed, not gone',
    ...(isAtRest(name) || name === 'done' ? {} : { lastError: earlier }),
    ...change,
  };
}

export const inputs = {
  'want up': { type: 'want', desired: 'up' },
  'want down': { type: 'want', desired: 'down' },
  adopt: { type: 'adopt', run: { generation: generation + 1, pid: 44 } },
  'adopt, finished': { type: 'adopt', run: { generation: generation + 1 } },
  'gates open': { type: 'gates', gates: 'open' },
  'gates closed': { type: 'gates', gates: 'closed' },
  'gates blocked': { type: 'gates', gates: 'blocked', error: errorNamed('blocked') },
  spawned: { type: 'spawned', generation, pid: 43 },
  passed: { type: 'passed', generation, finished: false },
  finished: { type: 'passed', generation, finished: true },
  failed: { type: 'failed', generation, error: errorNamed('failed') },
  'exited well': { type: 'exited', generation, clean: true, error: errorNamed('exited') },
  'exited badly': { type: 'exited', generation, clean: false, error: errorNamed('exited') },
  healthy: { type: 'healthy', generation },
  unhealthy: { type: 'unhealthy', generation, error: errorNamed('unhealthy'), restart: false },
  'unhealthy, restart': { type: 'unhealthy', generation, error: errorNamed('unhealthy'), restart: true },
  gone: { type: 'stopped', generation },
  'not gone': { type: 'stopped', generation, leftover: errorNamed('leftover') },
  undone: { type: 'undone' },
  retry: { type: 'retry' },
  restart: { type: 'restart' },
} as const satisfies Record<string, Input>;

export type InputName = keyof typeof inputs;
export const inputNames = Object.keys(inputs) as readonly InputName[];

export const context = { nowMs: 1000, random: () => 0.5, policy };

/** "stopping, then retry" of a state, as in {@link situations}. */
export function situationOf({ state }: Machine): string {
  if (state.id !== 'stopping') return state.id;
  return state.undoing ? 'undoing' : `stopping, then ${state.next}`;
}

/** One line: where a step leads and what it asks for; "·" when nothing changes. */
export function describeStep(before: Machine, { machine, effects }: Step): string {
  const wishes = effects.map((effect) =>
    'generation' in effect ? `${effect.type} ${effect.generation - generation === 1 ? 'next' : 'this'}` : effect.type,
  );
  const isSame = machine.state === before.state || JSON.stringify(machine.state) === JSON.stringify(before.state);
  if (isSame && wishes.length === 0) return '·';
  return [situationOf(machine), ...wishes.map((wish) => `+ ${wish}`)].join(' ');
}

export function stepFrom(name: Situation, input: InputName, change: Partial<Policy> = {}): string {
  const before = machineIn(name);
  return describeStep(before, step(before, inputs[input], { ...context, policy: { ...policy, ...change } }));
}
