/**
 * Random graphs with random faults and random timing, as plain data that fast-check can shrink:
 * fewer units, fewer edges, fewer faults, smaller numbers.
 */
import fc from 'fast-check';
import type { UnitGraph } from '../../src/graph/unit-graph.ts';
import type { Need, Unit } from '../../src/unit/schema.ts';
import type { Script } from './fake-run.ts';
import { fakeUnit, graphOfUnits } from './fake-graph.ts';

/** What goes wrong in one generation. Times are ms since the launch, or since readiness for what comes after it. */
export type Fault =
  | { readonly kind: 'none' | 'spawn' | 'hang' }
  | { readonly kind: 'exits early' | 'exits late' | 'exits well' | 'leaves a child'; readonly afterMs: number }
  | { readonly kind: 'sick'; readonly afterMs: number; readonly forMs: number }
  | { readonly kind: 'survives SIGKILL'; readonly afterMs: number };

export interface EdgeCase {
  readonly kind: 'hard' | 'soft' | 'parallel';
  /** Which unit, counted back from this one (parallel edges: any unit). */
  readonly target: number;
  readonly until: 'ready' | 'started';
  readonly onLoss: 'keep' | 'restart' | 'stop';
  readonly maxWaitMs: number;
}

export interface UnitCase {
  readonly kind: 'service' | 'task' | 'builtin';
  /** none: ready as soon as it runs; hint: told at once; poll: found by asking. */
  readonly check: 'none' | 'hint' | 'poll';
  readonly health: 'none' | 'mark' | 'restart';
  readonly edges: readonly EdgeCase[];
  readonly readyAfterMs: number;
  readonly startWithinMs: number;
  readonly stopTakesMs: number;
  readonly stopWithinMs: number;
  readonly ignoresStop: boolean;
  readonly undoMs: number | null;
  readonly exitToldLateMs: number | null;
  readonly when: 'always' | 'on-failure' | 'never';
  readonly backoff: { readonly firstMs: number; readonly maxMs: number; readonly jitter: number };
  readonly limit: { readonly starts: number; readonly withinMs: number; readonly resetAfterMs: number };
  /** One for each generation from the first. */
  readonly faults: readonly Fault[];
  /** The last fault goes on until `repairAtMs`. */
  readonly persists: boolean;
}

/** What the user does while everything runs. `unit` is counted from the first, modulo their number. */
export interface UserAction {
  readonly atMs: number;
  readonly action: 'start' | 'stop' | 'restart';
  readonly unit: number;
  readonly cascade: boolean;
}

/** The user changes files and reloads: bit n of each mask speaks of unit n. */
export interface ReloadCase {
  readonly atMs: number;
  /** Units with another definition. */
  readonly changed: number;
  /** Units that lose their edges. */
  readonly cut: number;
  /** Units that are left out; those that others need stay. */
  readonly removed: number;
  /** Changed units whose new definition cannot be spawned. */
  readonly broken: number;
}

/** The supervisor is killed at its so-manyth event, and started again. */
export interface KillCase {
  readonly atEvent: number;
  /** Units whose files change meanwhile. */
  readonly changed: readonly number[];
}

export interface SimulationCase {
  readonly units: readonly UnitCase[];
  /** One after the other. */
  readonly kills: readonly KillCase[];
  /** After this nothing launched fails any more. */
  readonly repairAtMs: number;
  /** The user stops everything then; null: only when all is ready. */
  readonly stopAtMs: number | null;
  /** The user hurries so long after that. */
  readonly hurryAfterMs: number | null;
  /** The user first wants only so many of the units, the rest at this time. */
  readonly restAtMs: number | null;
  readonly actions: readonly UserAction[];
  readonly reloads: readonly ReloadCase[];
  readonly hints: readonly { readonly atMs: number; readonly unit: number }[];
  readonly seed: number;
}

const ms = (max: number, min = 0) => fc.integer({ min, max });

const edge: fc.Arbitrary<EdgeCase> = fc.record({
  kind: fc.constantFrom('hard', 'hard', 'hard', 'soft', 'soft', 'parallel'),
  target: fc.nat({ max: 39 }),
  until: fc.constantFrom('ready', 'ready', 'ready', 'started'),
  onLoss: fc.constantFrom('keep', 'keep', 'keep', 'restart', 'restart', 'stop'),
  maxWaitMs: fc.constantFrom(10_000, 0, 100, 1000, 3000),
});

const fault: fc.Arbitrary<Fault> = fc.oneof(
  fc.record({ kind: fc.constantFrom('spawn', 'hang', 'none') }),
  fc.record({
    kind: fc.constantFrom('exits early', 'exits late', 'exits late', 'exits well', 'leaves a child'),
    afterMs: ms(3000),
  }),
  fc.record({ kind: fc.constant('sick'), afterMs: ms(2000), forMs: ms(5000, 1) }),
  fc.record({ kind: fc.constant('survives SIGKILL'), afterMs: ms(3000) }),
);

/** `rare` of 100 times `yes`, else `no`. */
const seldom = <T>(rare: number, no: T, yes: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ weight: 100 - rare, arbitrary: fc.constant(no) }, { weight: rare, arbitrary: yes });

const sound: readonly Fault[] = [];
const noActions: readonly UserAction[] = [];
const noReloads: readonly ReloadCase[] = [];
/** A bit for each unit; few are set. */
const mask = fc
  .tuple(fc.integer({ min: 0, max: 2 ** 20 - 1 }), fc.integer({ min: 0, max: 2 ** 20 - 1 }))
  .map(([a, b]) => a & b);

const unit: fc.Arbitrary<UnitCase> = fc.record({
  kind: fc.constantFrom('service', 'service', 'service', 'task', 'builtin'),
  check: fc.constantFrom('hint', 'hint', 'none', 'poll'),
  health: fc.constantFrom('none', 'none', 'none', 'mark', 'restart'),
  edges: fc.array(edge, { maxLength: 3 }),
  readyAfterMs: ms(1000),
  startWithinMs: ms(4000, 1500),
  stopTakesMs: ms(300),
  stopWithinMs: ms(1000, 100),
  ignoresStop: seldom(5, false, fc.constant(true)),
  undoMs: seldom<number | null>(15, null, ms(200)),
  exitToldLateMs: seldom<number | null>(10, null, ms(300)),
  when: seldom<UnitCase['when']>(10, 'always', fc.constantFrom('on-failure', 'never')),
  backoff: fc.record({ firstMs: ms(500, 1), maxMs: ms(3000, 500), jitter: fc.constantFrom(0, 0.2, 1) }),
  limit: fc.record({ starts: ms(4, 1), withinMs: ms(10_000, 500), resetAfterMs: ms(5000, 500) }),
  faults: seldom(50, sound, fc.array(fault, { minLength: 1, maxLength: 4 })),
  persists: fc.boolean(),
});

const kill: fc.Arbitrary<KillCase> = fc.record({
  atEvent: fc.oneof(fc.nat({ max: 40 }), fc.nat({ max: 250 })),
  changed: fc.array(fc.nat({ max: 39 }), { maxLength: 2 }),
});

/** Cases of so many units. */
export function simulationCases(size: { readonly min: number; readonly max: number }): fc.Arbitrary<SimulationCase> {
  return fc.record({
    units: fc.array(unit, { minLength: size.min, maxLength: size.max, size: 'max' }),
    repairAtMs: ms(12_000),
    stopAtMs: seldom<number | null>(30, null, ms(12_000)),
    hurryAfterMs: seldom<number | null>(20, null, ms(500)),
    restAtMs: seldom<number | null>(15, null, ms(3000)),
    kills: seldom<readonly KillCase[]>(30, [], fc.array(kill, { minLength: 1, maxLength: 2 })),
    actions: seldom(
      60,
      noActions,
      fc.array(
        fc.record({
          atMs: ms(10_000),
          action: fc.constantFrom('start', 'stop', 'stop', 'restart'),
          unit: fc.nat({ max: 39 }),
          cascade: fc.boolean(),
        }),
        { minLength: 1, maxLength: 4 },
      ),
    ),
    reloads: seldom(
      30,
      noReloads,
      fc.array(fc.record({ atMs: ms(10_000), changed: mask, cut: mask, removed: mask, broken: mask }), {
        minLength: 1,
        maxLength: 2,
      }),
    ),
    hints: fc.array(fc.record({ atMs: ms(10_000), unit: fc.nat({ max: 39 }) }), { maxLength: 2 }),
    seed: fc.nat(),
  });
}

export const unitName = (index: number): string => `u${String(index)}`;

/** The graph of a case: hard and soft edges lead to earlier units, parallel ones anywhere. */
export function graphOfCase(simulation: SimulationCase): UnitGraph {
  return graphOfUnits(unitsOfCase(simulation));
}

/** The graph after the files of `changed` units were edited. */
export function withChanges(graph: UnitGraph, changed: ReadonlySet<string>): UnitGraph {
  const units = graph.order.map((name) => graph.unit(name));
  return graphOfUnits(units.map((unit) => (changed.has(unit.name) ? { ...unit, hash: `${unit.hash}-edited` } : unit)));
}

/** The graph after a reload: each definition that changes says so in its program's arguments. */
export function reloadedGraph(simulation: SimulationCase, reload: ReloadCase, number: number): UnitGraph {
  const has = (bits: number, index: number) => ((bits >> (index % 20)) & 1) === 1;
  const units = unitsOfCase(simulation).map((unit, index): Unit => {
    const needs = has(reload.cut, index) ? [] : unit.needs;
    if (!has(reload.changed, index)) return { ...unit, needs };
    const hash = `${String(number)}${has(reload.broken, index) ? brokenHash : '-changed'}`;
    return { ...unit, needs, hash };
  });
  const isNamed = (index: number) => index !== 0 && has(reload.removed, index);
  const kept = new Map(units.map((unit) => [unit.name, unit]));
  const isNeeded = (name: string) => [...kept.values()].some(({ needs }) => needs.some((need) => need.unit === name));
  // From the last one: what only removed units need can be removed with them.
  for (const [index, { name }] of [...units.entries()].reverse()) {
    if (isNamed(index) && !isNeeded(name)) kept.delete(name);
  }
  return graphOfUnits([...kept.values()]);
}

/** In the hash of a definition that cannot be spawned. */
export const brokenHash = '-broken';

function unitsOfCase({ units }: SimulationCase): Unit[] {
  return units.map((one, index) =>
    fakeUnit(unitName(index), {
      kind: one.kind,
      run: one.kind === 'builtin' ? ['fake'] : ['program'],
      needs: needsOf(one, index, units.length),
      startWithin: one.startWithinMs,
      ...(one.check === 'none' || one.kind !== 'service' ? {} : { ready: checkOf(one.check) }),
      ...(one.health === 'none' || one.kind !== 'service'
        ? {}
        : { health: { ...checkOf('poll'), every: 500, failures: 2, onFailure: one.health } }),
      ...(one.undoMs === null ? {} : { undo: ['take-back'] }),
      restart: {
        when: one.when,
        backoff: { first: one.backoff.firstMs, factor: 2, max: one.backoff.maxMs, jitter: one.backoff.jitter },
        limit: { starts: one.limit.starts, within: one.limit.withinMs },
        resetAfter: one.limit.resetAfterMs,
      },
      stop: { within: one.stopWithinMs },
    }),
  );
}

const checkOf = (check: 'hint' | 'poll') => (check === 'hint' ? { notify: true as const } : { tcp: '127.0.0.1:1' });

function needsOf({ edges }: UnitCase, index: number, count: number): Need[] {
  const found = new Map<number, Need>();
  for (const { kind, target, until, onLoss, maxWaitMs } of edges) {
    const to = kind === 'parallel' ? target % count : index - 1 - (target % Math.max(index, 1));
    if (to < 0 || to === index || found.has(to)) continue;
    const name = unitName(to);
    if (kind === 'hard') found.set(to, { kind, unit: name, until, onLoss });
    else if (kind === 'soft') found.set(to, { kind, unit: name, maxWaitMs });
    else found.set(to, { kind, unit: name });
  }
  return [...found.values()];
}

/** How generation number `generation`, launched at `nowMs`, behaves. */
export function scriptOf(simulation: SimulationCase, index: number, generation: number, nowMs: number): Script {
  const one = simulation.units[index];
  if (one === undefined) return {};
  const { readyAfterMs, stopTakesMs, ignoresStop } = one;
  const plan: Script = {
    readyAfterMs,
    stopTakesMs,
    ...(ignoresStop ? { ignoresStop } : {}),
    ...(one.exitToldLateMs === null ? {} : { exitToldLateMs: one.exitToldLateMs }),
  };
  const last = one.persists ? one.faults.at(-1) : undefined;
  const fault = nowMs >= simulation.repairAtMs ? undefined : (one.faults[generation - 1] ?? last);
  return fault === undefined ? plan : { ...plan, ...damage(fault, readyAfterMs) };
}

/** Longer than any `startWithin`; not for ever, because health that only marks does not end a process. */
const hangsMs = 15_000;

function damage(fault: Fault, readyAfterMs: number): Script {
  switch (fault.kind) {
    case 'none':
      return {};
    case 'spawn':
      return { spawnError: 'ENOENT' };
    case 'hang':
      return { readyAfterMs: hangsMs };
    case 'exits early':
      return { exitAfterMs: Math.min(fault.afterMs, readyAfterMs) };
    case 'exits late':
      return { exitAfterMs: readyAfterMs + fault.afterMs };
    case 'exits well':
      return { exitAfterMs: readyAfterMs + fault.afterMs, exit: { kind: 'code', code: 0 } };
    case 'leaves a child':
      return { exitAfterMs: readyAfterMs + fault.afterMs, leavesChild: true };
    case 'sick':
      return { sick: { fromMs: readyAfterMs + fault.afterMs, toMs: readyAfterMs + fault.afterMs + fault.forMs } };
    case 'survives SIGKILL':
      return {
        exitAfterMs: readyAfterMs + fault.afterMs,
        survivesUntilMs: readyAfterMs + fault.afterMs + 2000,
        leavesChild: true,
      };
  }
}
