/**
 * Runs the real executor, probes' rhythm included, over a random graph in a fake world on a fake
 * clock, and judges what happened. The same case always gives the same run. In some cases the
 * supervisor is killed at one of its events, and another one adopts what runs on.
 */
import { getEventListeners } from 'node:events';
import { createExecutor } from '../../src/executor/create-executor.ts';
import type { Executor } from '../../src/executor/executor-api.ts';
import { planAdoption, type AdoptionPlan } from '../../src/executor/plan-adoption.ts';
import type { UnitGraph } from '../../src/graph/unit-graph.ts';
import type { Leftover } from '../../src/process/leftover.ts';
import { isUp } from '../../src/unit/state.ts';
import { expectedReadyMs } from './critical-path.ts';
import { fakeClock, type FakeClock } from './fake-clock.ts';
import { fakeNotify, fakeProbes } from './fake-probe.ts';
import { fakeProcesses } from './fake-process.ts';
import { createJournal, describeEntry, type JournalEntry } from './journal.ts';
import { mortal, reachOf } from './mortal.ts';
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
/** Sums of floating-point milliseconds. */
const roundingMs = 0.001;

export async function simulate(simulation: SimulationCase): Promise<Outcome> {
  const clock = fakeClock(0);
  const journal = createJournal(clock);
  const first = graphOfCase(simulation);
  let graph = first;
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
  const violations: string[] = [];
  const random = randomFrom(simulation.seed);
  const kills = [...simulation.kills];

  /** A supervisor that lives until its next kill is due. */
  const live = (adopted: AdoptionPlan['adopt']) => {
    const kill = kills.shift();
    let events = 0;
    const life = mortal(clock, journal.events, () => {
      events += 1;
      if (kill === undefined || events <= kill.atEvent || isStopping) return;
      life.kill();
      processes.killSupervisor();
      notify.forget();
      journal.note({ kind: 'killed' });
    });
    const reach = reachOf(life, processes, notify);
    const executor = createExecutor({
      graph,
      events: life.events,
      adopted,
      ports: {
        clock: life.clock,
        random,
        ...reach,
        createProbe: fakeProbes(reach.process),
        builtins: new Map([['fake', reach.process.builtin]]),
      },
    });
    return { executor, life, kill };
  };

  let isStopping = false;
  let { executor, life, kill } = live(new Map());
  const user = simulatedUser({ simulation, executor: () => executor, journal, violations });
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

  /** The next `up` after a kill. */
  const revive = async () => {
    const changed = new Set(kill?.changed.map((index) => index % simulation.units.length));
    graph = graphOfCase(simulation, changed);
    const expected = mustBeAdopted(graph, processes.leftovers(), journal.entries);
    const plan = planAdoption(graph, graph.order, processes.leftovers());
    for (const name of expected) {
      if (!plan.adopt.has(name)) violations.push(`${name} runs on and matches, but is not adopted`);
    }
    for (const [name, { hash }] of plan.adopt) {
      if (hash !== graph.unit(name).hash) violations.push(`${name} is adopted, but it has changed`);
    }
    for (const { leftover } of plan.end) while (!processes.end(leftover)) await clock.advance(100);
    ({ executor, life, kill } = live(plan.adopt));
    want(graph.order);
  };

  if (stopAtMs === null) {
    const untilSound = () =>
      untilHealed(simulation, {
        isHealed: () => !user.isReloading() && isHealedOf(executor, first, user),
        clock,
        isDead: () => life.isDead,
      });
    let isSound = await untilSound();
    while (life.isDead) {
      await revive();
      isSound = await untilSound();
    }
    if (!isSound)
      violations.push(`not everything is ready ${String(patienceMs / 1000)} s after the last fault is gone`);
  } else {
    while (clock.monotonicMs() < stopAtMs) {
      await clock.settle();
      if (life.isDead) await revive();
      else
        await clock.advance(Math.min(clock.nextTimerInMs ?? Number.POSITIVE_INFINITY, stopAtMs - clock.monotonicMs()));
    }
    while (life.isDead) {
      kills.length = 0;
      await revive();
    }
  }
  isStopping = true;

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
  { isHealed, clock, isDead }: { isHealed: () => boolean; clock: FakeClock; isDead: () => boolean },
): Promise<boolean> {
  const calmAtMs = Math.max(repairAtMs, restAtMs ?? 0, ...[...actions, ...reloads].map(({ atMs }) => atMs));
  const isCalm = () => clock.monotonicMs() >= calmAtMs - roundingMs;
  const untilMs = Math.max(clock.monotonicMs(), calmAtMs) + patienceMs;
  await clock.settle();
  for (let steps = 0; steps < maxSteps && clock.monotonicMs() < untilMs && !isDead(); steps += 1) {
    const nextMs = clock.nextTimerInMs;
    // What is due at this very moment is still to come.
    if (isCalm() && nextMs !== 0 && isHealed()) return true;
    if (nextMs !== undefined && (isCalm() || clock.monotonicMs() + nextMs <= calmAtMs + roundingMs)) await clock.step();
    else if (isCalm()) return isHealed();
    else await clock.advance(calmAtMs - clock.monotonicMs());
  }
  return false;
}

/** Units that run on as the graph would start them, by what the world has seen and the killed supervisor has said. */
function mustBeAdopted(
  graph: UnitGraph,
  leftovers: readonly Leftover[],
  entries: readonly JournalEntry[],
): readonly string[] {
  const wasReady = (unit: string) => {
    const launched = entries.findLastIndex((entry) => entry.kind === 'launched' && entry.unit === unit);
    return entries
      .slice(launched)
      .some(
        (entry) =>
          entry.kind === 'said' &&
          entry.event.type === 'unit.state' &&
          entry.event.unit === unit &&
          entry.event.snapshot.state === 'ready',
      );
  };
  return leftovers
    .filter(({ unit, isMainAlive, record }) => {
      const { kind, hash, ready } = graph.unit(unit);
      const isBound = graph.needs(unit).some((need) => need.kind === 'hard' && need.onLoss !== 'keep');
      const isKnown = ready?.notify !== true || wasReady(unit);
      return kind === 'service' && isMainAlive && record?.hash === hash && isKnown && !isBound;
    })
    .map(({ unit }) => unit);
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
  const isDisturbed = simulation.actions.length + simulation.reloads.length + simulation.kills.length > 0;
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
