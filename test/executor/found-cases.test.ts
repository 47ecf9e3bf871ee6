/**
 * Cases that the simulation has found with seeds of its own, shrunk to what they are about. Each
 * broke a rule once: by a bug of the executor, or by a rule that was wrong.
 */
import { expect, test } from 'vitest';
import type { EdgeCase, SimulationCase, UnitCase } from '../kit/simulation-case.ts';
import { simulate } from '../kit/simulator.ts';

const service = (change: Partial<UnitCase> = {}): UnitCase => ({
  kind: 'service',
  check: 'hint',
  health: 'none',
  edges: [],
  readyAfterMs: 100,
  startWithinMs: 2000,
  stopTakesMs: 0,
  stopWithinMs: 500,
  ignoresStop: false,
  undoMs: null,
  exitToldLateMs: null,
  when: 'always',
  backoff: { firstMs: 100, maxMs: 500, jitter: 0 },
  limit: { starts: 2, withinMs: 5000, resetAfterMs: 5000 },
  faults: [],
  persists: false,
  ...change,
});

const edge = (kind: EdgeCase['kind'], change: Partial<EdgeCase> = {}): EdgeCase => ({
  kind,
  target: 0,
  until: 'ready',
  onLoss: 'keep',
  maxWaitMs: 10_000,
  ...change,
});

/** It cannot be spawned until `repairAtMs`. */
const failing = {
  faults: [{ kind: 'spawn' }],
  persists: true,
  limit: { starts: 1, withinMs: 5000, resetAfterMs: 5000 },
} as const;

const quiet: Omit<SimulationCase, 'units'> = {
  kills: [],
  repairAtMs: 3000,
  stopAtMs: null,
  hurryAfterMs: null,
  restAtMs: null,
  actions: [],
  reloads: [],
  hints: [],
  seed: 1,
};

const cases: readonly (readonly [string, SimulationCase])[] = [
  [
    // The rule was wrong: it took a unit for down only when it rested there.
    'a unit that is started again while it is being undone has a clean slate',
    {
      ...quiet,
      units: [service({ ...failing, undoMs: 200 })],
      actions: [
        { atMs: 1000, action: 'stop', unit: 0, cascade: false },
        { atMs: 1100, action: 'start', unit: 0, cascade: false },
      ],
    },
  ],
  [
    // The rule was wrong: it counted the edge twice.
    'a changed unit that the user restarts says once that it needs an absent one without waiting for it',
    {
      ...quiet,
      units: [service(failing), service({ edges: [edge('soft', { maxWaitMs: 0 })] }), service({ readyAfterMs: 500 })],
      actions: [{ atMs: 1050, action: 'restart', unit: 1, cascade: false }],
      reloads: [{ atMs: 1000, changed: 0b110, cut: 0, removed: 0, broken: 0 }],
    },
  ],
  [
    // A bug: the restart took it from the reload, which removed it while it ran. Nobody stopped it any more.
    'a unit that a reload is removing cannot be restarted',
    {
      ...quiet,
      units: [service(), service(), service({ edges: [edge('hard')], stopTakesMs: 300 })],
      actions: [{ atMs: 1100, action: 'restart', unit: 1, cascade: false }],
      reloads: [{ atMs: 1000, changed: 0, cut: 0, removed: 0b110, broken: 0 }],
    },
  ],
  [
    // A bug: the stop went on to a unit that was no longer there, and nobody caught that.
    'a reload may remove a unit whose stop waits for its dependents',
    {
      ...quiet,
      units: [service(), service(), service({ edges: [edge('hard')], stopTakesMs: 300 })],
      actions: [{ atMs: 1000, action: 'stop', unit: 1, cascade: true }],
      reloads: [{ atMs: 1100, changed: 0, cut: 0b100, removed: 0b10, broken: 0 }],
    },
  ],
  [
    // A bug: down for the moment of the restart, it was taken for one that the user had stopped, and the reload's report left it out.
    'a changed unit that the user restarts with what it waits for is told of as one that the reload did not try',
    {
      ...quiet,
      units: [
        service({ readyAfterMs: 0, health: 'mark', faults: [{ kind: 'sick', afterMs: 0, forMs: 3000 }] }),
        service({ edges: [edge('hard')] }),
      ],
      actions: [{ atMs: 2100, action: 'restart', unit: 0, cascade: true }],
      reloads: [{ atMs: 2000, changed: 0b10, cut: 0, removed: 0, broken: 0b10 }],
    },
  ],
  [
    // A bug: it was taken for down, so that what it blocks waited again, for a moment.
    'a unit with a process that survives SIGKILL has no clean slate when it is started again while it is undone',
    {
      ...quiet,
      units: [
        service({ faults: [{ kind: 'survives SIGKILL', afterMs: 900 }], undoMs: 200, limit: failing.limit }),
        service({ edges: [edge('hard')] }),
      ],
      actions: [
        { atMs: 500, action: 'stop', unit: 1, cascade: false },
        { atMs: 1001, action: 'stop', unit: 0, cascade: false },
        { atMs: 1050, action: 'start', unit: 1, cascade: false },
      ],
    },
  ],
  [
    // The rule was wrong: it expected a rollback, and what is new has nothing to go back to.
    'a unit that a reload brings back, broken and not wanted, is not mended by a start',
    {
      ...quiet,
      units: [service(), service()],
      actions: [
        { atMs: 500, action: 'stop', unit: 1, cascade: false },
        { atMs: 2500, action: 'start', unit: 1, cascade: false },
      ],
      reloads: [
        { atMs: 1000, changed: 0, cut: 0, removed: 0b10, broken: 0 },
        { atMs: 2000, changed: 0b10, cut: 0, removed: 0, broken: 0b10 },
      ],
    },
  ],
];

test.each(cases)('%s', async (_name, simulation) => {
  const { violations, story } = await simulate(simulation);
  expect(violations, story()).toEqual([]);
});
