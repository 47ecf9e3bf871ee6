/**
 * Runs the real executor, probes' rhythm included, over a random graph in a fake world on a fake
 * clock, and judges what happened. The same case always gives the same run.
 */
import { getEventListeners } from 'node:events';
import { createExecutor } from '../../src/executor/create-executor.ts';
import type { Executor } from '../../src/executor/executor-api.ts';
import type { UnitGraph } from '../../src/graph/unit-graph.ts';
import { isUp } from '../../src/unit/state.ts';
import { expectedReadyMs } from './critical-path.ts';
import { fakeClock } from './fake-clock.ts';
import { fakeNotify, fakeProbes } from './fake-probe.ts';
import { fakeProcesses } from './fake-process.ts';
import { createJournal, describeEntry } from './journal.ts';
import { judge, type Reached } from './observer.ts';
import { simulatedUser, type SimulatedUser } from './simulated-user.ts';
import { brokenHash, graphOfCase, scriptOf, unitName, type SimulationCase } from './simulation-case.ts';

export interface Outcome {
  /** Broken rules, one line each; empty when all is well. */
  readonly violations: readonly string[];
  readonly reached: ReadonlySet<Reached>;
  /** Everything that happened, for people. */
  story(): string;
}

/** Whatever fails, a graph of 40 units is up again in this time after the faults are gone. */
const patienceMs = 300_000;
const maxSteps = 20_000;

export async function simulate(simulation: SimulationCase): Promise<Outcome> {
  const clock = fakeClock(0);
  const journal = createJournal(clock);
  const graph = graphOfCase(simulation);
  const notify = fakeNotify();
  const undoMs = (name: string) => simulation.units[Number(name.slice(1))]?.undoMs ?? 0;
  const processes = fakeProcesses({
    clock,
    note: journal.note,
    script: (name, generation, hash) =>
      hash.endsWith(brokenHash)
        ? { spawnError: 'ENOENT' }
        : scriptOf(simulation, Number(name.slice(1)), generation, clock.monotonicMs()),
    undo: (name) => ({ takesMs: undoMs(name), fails: false }),
  });
  const executor = createExecutor({
    graph,
    events: journal.events,
    ports: {
      clock,
      random: randomFrom(simulation.seed),
      process: processes,
      notify,
      createProbe: fakeProbes(processes),
      builtins: new Map([['fake', processes.builtin]]),
    },
  });
  const violations: string[] = [];

  const user = simulatedUser({ simulation, executor, journal, violations });

  const want = (units: readonly string[]) => {
    user.note('start', units);
    executor.start(units);
  };
  const { restAtMs, stopAtMs } = simulation;
  const isInTime = ({ atMs }: { readonly atMs: number }) => stopAtMs === null || atMs < stopAtMs;
  for (const action of simulation.actions.filter(isInTime)) clock.timer(action.atMs, () => user.act(action));
  for (const reload of simulation.reloads.filter(isInTime)) clock.timer(reload.atMs, () => user.reload(reload));
  want(restAtMs === null ? graph.order : graph.order.slice(0, Math.ceil(graph.order.length / 2)));
  if (restAtMs !== null && (stopAtMs === null || restAtMs < stopAtMs))
    clock.timer(restAtMs, () => want(executor.graph.order));
  for (const { atMs, unit } of simulation.hints) {
    const name = unitName(unit % simulation.units.length);
    clock.timer(atMs, () => {
      if (!executor.graph.has(name)) return;
      journal.note({ kind: 'user', action: 'hint', units: [name] });
      executor.hint(name, 'test');
    });
  }

  if (stopAtMs === null) {
    const isHealed = await untilHealed(
      simulation,
      () => !user.isReloading() && isHealedOf(executor, graph, user),
      clock,
    );
    if (!isHealed)
      violations.push(`not everything is ready ${String(patienceMs / 1000)} s after the last fault is gone`);
  } else {
    await clock.advance(stopAtMs);
  }

  const hurry = new AbortController();
  journal.note({ kind: 'user', action: 'down', units: [] });
  const stopped = executor.stop({ hurry: hurry.signal });
  if (simulation.hurryAfterMs !== null) clock.timer(simulation.hurryAfterMs, () => hurry.abort(new Error('hurry')));
  const report = await clock.run(stopped, patienceMs).catch((error: unknown) => {
    violations.push(`the stop did not end: ${String(error)}`);
    return undefined;
  });
  // What a test set for later is its own business.
  await clock.advance(20_000);

  const left = processes.alive();
  const isAdmitted = left.length > 0 && (report?.leftovers.length ?? 0) > 0;
  if (left.length > 0 && !isAdmitted) violations.push(`still alive after the stop: ${left.join()}`);
  if (clock.pendingTimers > 0 && !isAdmitted) violations.push(`${String(clock.pendingTimers)} timers are left`);
  if (processes.followers > 0) violations.push(`${String(processes.followers)} listeners are left on logs and checks`);
  if (notify.openSockets.size > 0) violations.push(`notify sockets are left: ${[...notify.openSockets].join()}`);
  if (getEventListeners(hurry.signal, 'abort').length > 0) violations.push('a listener is left on the hurry signal');

  const verdict = judge(graph, journal.entries);
  const reached = new Set(verdict.reached);
  if (stopAtMs !== null) reached.add('user stop');
  const all = [...verdict.violations, ...violations, ...lateUnits(simulation, graph, verdict.firstReadyMs)];
  const story = () => journal.entries.map(describeEntry).join('\n');
  return { violations: all, reached, story };
}

/** Lets time pass until the faults are gone and everything that can be is ready. */
async function untilHealed(
  { repairAtMs, actions, reloads, restAtMs }: SimulationCase,
  isHealed: () => boolean,
  clock: ReturnType<typeof fakeClock>,
): Promise<boolean> {
  await clock.advance(Math.max(repairAtMs, restAtMs ?? 0, ...[...actions, ...reloads].map(({ atMs }) => atMs)));
  const untilMs = clock.monotonicMs() + patienceMs;
  for (let steps = 0; steps < maxSteps && clock.monotonicMs() < untilMs; steps += 1) {
    if (isHealed()) return true;
    if (!(await clock.step())) return isHealed();
  }
  return false;
}

/** Everything wanted is up, save what has ended for good by its own unit file, and what needs that. */
function isHealedOf({ graph, snapshots }: Executor, first: UnitGraph, user: SimulatedUser): boolean {
  const excused = new Set<string>();
  for (const { unit, state, desired, nextRetryAt } of snapshots()) {
    // A reload is removing it.
    if (!graph.has(unit)) return false;
    if (user.isHeld(unit) && state !== 'stopped') return false;
    const { restart } = graph.unit(unit);
    // Also by an edge that a reload has cut since.
    const losesAndStops = [...graph.needs(unit), ...first.needs(unit)].some(
      (need) => need.kind === 'hard' && need.onLoss === 'stop',
    );
    const isOver =
      (state === 'stopped' && desired === 'down' && (restart.when !== 'always' || losesAndStops)) ||
      (state === 'failed' && nextRetryAt === undefined && restart.when === 'never') ||
      user.isHeld(unit) ||
      // Nobody asked for it again since a reload brought it back.
      (state === 'stopped' && desired === 'down' && user.wasRemoved(unit)) ||
      (graph.unit(unit).hash.endsWith(brokenHash) && user.isUnjudged(unit)) ||
      (state === 'inactive' && desired === 'down');
    const needsExcused = graph.needs(unit).some((need) => need.kind === 'hard' && excused.has(need.unit));
    const waits = state === 'waiting' || state === 'blocked';
    if (isOver || (waits && needsExcused)) excused.add(unit);
    else if (!isUp(state)) return false;
  }
  return true;
}

/** If nothing fails, every unit is ready as early as the graph allows. */
function lateUnits(
  simulation: SimulationCase,
  graph: UnitGraph,
  firstReadyMs: ReadonlyMap<string, number>,
): readonly string[] {
  const { units, stopAtMs, restAtMs } = simulation;
  const isDisturbed = simulation.actions.length + simulation.reloads.length > 0;
  if (stopAtMs !== null || restAtMs !== null || isDisturbed || units.some(({ faults }) => faults.length > 0)) return [];
  const expected = expectedReadyMs(graph, (name) => {
    const one = units[Number(name.slice(1))];
    return (one?.readyAfterMs ?? 0) + (one?.exitToldLateMs ?? 0);
  });
  return [...expected].flatMap(([name, expectedMs]) => {
    const readyMs = firstReadyMs.get(name) ?? Number.POSITIVE_INFINITY;
    return readyMs <= expectedMs + 1
      ? []
      : [`${name} was ready at ${String(readyMs)} ms, the critical path to it takes ${String(expectedMs)} ms`];
  });
}

/** Mulberry32: small, fast, good enough for jitter. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
