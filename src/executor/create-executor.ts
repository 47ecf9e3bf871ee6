/**
 * Starts and stops units in graph order.
 *
 * One UnitRunner per unit owns that unit's state; nothing else writes it. Runners read snapshots of
 * their dependencies; the executor only tells them, once per turn of the event loop, that something
 * they depend on has changed. Stopping is starting on the reversed graph.
 *
 * Not here: single units on request (unit-control), another graph (reload), how a process is spawned
 * (process/), what "ready" means (probe/), printing (report/).
 */
import { setMaxListeners } from 'node:events';
import { createEventStream, type EventStream } from '../event/stream.ts';
import type { UnitGraph } from '../graph/unit-graph.ts';
import { unknownUnitError } from '../graph/unknown-unit.ts';
import { onAbort } from '../kernel/abort.ts';
import type { RunRecord } from '../process/run-record.ts';
import { isUp, type UnitSnapshot } from '../unit/state.ts';
import { getterUnits, type Executor, type StopReport } from './executor-api.ts';
import { graphFacts } from './graph-facts.ts';
import { createPendingStops } from './pending-stops.ts';
import type { ExecutorPorts } from './ports.ts';
import { createReload } from './reload.ts';
import { watchForHints } from './retry-hints.ts';
import { createStartQueue } from './start-queue.ts';
import { Claims, unitControl } from './unit-control.ts';
import { UnitRunner } from './unit-runner.ts';
import { Wanted } from './wanted.ts';

export interface ExecutorOptions {
  readonly graph: UnitGraph;
  readonly ports: ExecutorPorts;
  /** Default: a stream of its own. */
  readonly events?: EventStream;
  /** Runs of an earlier k3s-lite, by unit, that are gone on with (see `planAdoption`). */
  readonly adopted?: ReadonlyMap<string, RunRecord>;
}

export function createExecutor({ graph: firstGraph, ports, events: given, adopted }: ExecutorOptions): Executor {
  const { clock } = ports;
  const events = given ?? createEventStream({ clock });
  const startQueue = createStartQueue(clock);
  const hurry = new AbortController();
  // Every unit that is being stopped listens: no leak, so Node must not warn of one.
  setMaxListeners(0, hurry.signal);
  let graph = firstGraph;
  /** The graph before the present one: units that only it has are on their way out. */
  let lastGraph = firstGraph;
  const runners = new Map<string, UnitRunner>();
  const hints = new Map<string, Disposable>();
  /** Of units that a reload has removed: if they come back, their generations go on, and what survived is still known. */
  const retired = new Map<string, UnitRunner>();
  let isClosing = false;
  let stopping: Promise<StopReport> | undefined;

  const runnerOf = (name: string): UnitRunner => {
    const runner = runners.get(name);
    if (runner !== undefined) return runner;
    throw unknownUnitError(name, graph.order);
  };
  const snapshotOf = (name: string) => runnerOf(name).channel.current;
  const wanted = new Wanted({ clock, events, snapshotOf });
  const claims = new Claims();
  const pendingStops = createPendingStops();
  /** What was asked for by name; everything, if everything was. */
  const asked = { everything: false, rests: (_unit: string) => false, units: new Set<string>() };

  // Dependents are told once per turn, however many of their dependencies changed in it.
  const stale = new Set<UnitRunner>();
  const tellDependents = (name: string) => {
    for (const { unit } of graph.dependents(name)) {
      const runner = runners.get(unit);
      if (runner === undefined) continue;
      if (stale.size === 0) clock.soon(settle);
      stale.add(runner);
    }
  };
  const settle = () => {
    const turn = [...stale];
    stale.clear();
    for (const runner of turn) runner.onDependency();
    startQueue.begin();
  };

  const onChange = (runner: UnitRunner, before: UnitSnapshot) => {
    const after = runner.channel.current;
    const unit = runner.unit.name;
    if (isNews(before, after)) events.emit({ type: 'unit.state', unit, from: before.state, snapshot: after });
    if (!concernsDependents(before, after)) return;
    tellDependents(unit);
    if (!isClosing) wanted.onChange(unit, before, after);
  };

  const newRunner = (name: string) =>
    new UnitRunner({
      unit: graph.unit(name),
      needs: graph.needs(name),
      tailMs: graph.tailMs(name),
      ports,
      events,
      startQueue,
      adopted: adopted?.get(name),
      snapshotOf,
      isClosing: () => isClosing,
      hurry: hurry.signal,
      onChange,
    });
  /** A runner that was there before gets its definition from the reload, like all others. */
  const addRunner = (name: string) => {
    const runner = retired.get(name) ?? newRunner(name);
    retired.delete(name);
    runners.set(name, runner);
    hints.set(name, watchForHints(clock, runner));
  };
  const removeRunner = (name: string) => {
    hints.get(name)?.[Symbol.dispose]();
    hints.delete(name);
    const runner = runners.get(name);
    if (runner !== undefined) retired.set(name, runner);
    runners.delete(name);
  };
  for (const name of graph.order) addRunner(name);

  const control = unitControl({
    graph: () => graph,
    events,
    wanted,
    claims,
    pendingStops,
    runnerOf,
    isClosing: () => isClosing,
  });
  const reload = createReload({
    clock,
    events,
    wanted,
    claims,
    pendingStops,
    graph: () => graph,
    setGraph(next) {
      lastGraph = graph;
      graph = next;
    },
    runnerOf,
    hasRunner: (name) => runners.has(name),
    addRunner,
    removeRunner,
    wantedOf: (next) =>
      next.closure(next.order.filter((name) => asked.units.has(name) || (asked.everything && !asked.rests(name)))),
    isClosing: () => isClosing,
  });

  const isLeaving = (name: string) => runners.has(name) && !graph.has(name);
  /** Edges of the graph before count only among units on their way out: mixed with others they could form a cycle. */
  const stopsAfter = (name: string): readonly string[] => [
    ...(graph.has(name) ? graph.stopsAfter(name) : []),
    ...(lastGraph.has(name) ? lastGraph.stopsAfter(name).filter(isLeaving) : []),
  ];
  const allUnits = () => [...graph.order, ...lastGraph.order.filter(isLeaving)];

  const stopAll = async (reason: string): Promise<StopReport> => {
    const sinceMs = clock.monotonicMs();
    events.emit({ type: 'down.started', reason });
    for (const hint of hints.values()) hint[Symbol.dispose]();
    const names = allUnits();
    // Whatever else moves units has been overtaken.
    claims.take(names);
    const stop = async (name: string) => {
      const runner = runnerOf(name);
      if (runner.channel.current.state === 'inactive') return;
      runner.want('down');
      await runner.channel.when((snapshot) => snapshot.state === 'stopped');
    };
    await pendingStops.inOrder(names, stopsAfter, stop, () => true);
    const leftovers = [...retired.values(), ...runners.values()].flatMap((runner) => runner.leftovers);
    const elapsedMs = clock.monotonicMs() - sinceMs;
    events.emit({ type: 'down.finished', elapsedMs, leftovers });
    return { elapsedMs, leftovers };
  };

  const ready = async (name: string) => runnerOf(name).channel.ready();
  const getters = Object.fromEntries(
    Object.entries(getterUnits).map(([getter, unit]) => [getter, () => ready(unit)]),
  ) as Pick<Executor, keyof typeof getterUnits>;

  return {
    get graph() {
      return graph;
    },
    events,
    ...getters,
    ...reload,
    start(units, { rests = () => false } = {}) {
      for (const name of units ?? []) runnerOf(name);
      // A unit wanted again while everything stops would never be stopped.
      if (isClosing) return;
      if (units === undefined) Object.assign(asked, { everything: true, rests });
      else for (const name of units) asked.units.add(name);
      const closure = graph.closure(units ?? graph.order.filter((name) => !rests(name)));
      claims.take(closure);
      wanted.begin();
      wanted.add(closure);
      events.emit({ type: 'up.started', ...graphFacts(graph, closure) });
      for (const name of closure) runnerOf(name).want('up');
    },
    startUnits(units) {
      const moved = control.startUnits(units);
      for (const name of units) asked.units.add(name);
      return moved;
    },
    stopUnits(units, options) {
      const moved = control.stopUnits(units, options);
      for (const { unit } of moved.units) asked.units.delete(unit);
      return moved;
    },
    restartUnits(units, options) {
      const moved = control.restartUnits(units, options);
      for (const name of units) asked.units.add(name);
      return moved;
    },
    unit: (name) => runnerOf(name).channel,
    snapshots: () => allUnits().map(snapshotOf),
    stopWaitsFor: pendingStops.waitsFor,
    async ready({ units, signal } = {}) {
      const options = signal === undefined ? {} : { signal };
      if (units === undefined) {
        await wanted.missing.when((count) => count === 0, options);
        return;
      }
      const channels = units.map((name) => runnerOf(name).channel);
      while (channels.some((channel) => !isUp(channel.current.state))) {
        for (const channel of channels) await channel.when((snapshot) => isUp(snapshot.state), options);
      }
    },
    isReady: () => wanted.missing.current === 0,
    stop({ reason = 'on request', hurry: hurrySignal } = {}) {
      isClosing = true;
      stopping ??= stopAll(reason);
      if (hurrySignal === undefined) return stopping;
      const listener = onAbort(hurrySignal, () => hurry.abort(hurrySignal.reason));
      return stopping.finally(() => listener[Symbol.dispose]());
    },
    hint(unit, source) {
      const runner = runnerOf(unit);
      events.emit({ type: 'probe.hint', unit, generation: runner.channel.current.generation, source });
      runner.retry();
    },
    inspect: () => ({ startQueue: startQueue.length, units: allUnits().map((name) => runnerOf(name).inspect()) }),
  };
}

/** True if gates, errors or flags of dependents may depend on the change. */
function concernsDependents(before: UnitSnapshot, after: UnitSnapshot): boolean {
  return (
    before.state !== after.state ||
    before.pid !== after.pid ||
    before.exhausted !== after.exhausted ||
    before.stoppedByUser !== after.stoppedByUser ||
    // A unit that stays blocked, but by another root: those it blocks must name the new one.
    before.lastError !== after.lastError
  );
}

/** Worth an event: anything a person sees, but not each gate of many (those are `unit.gate`). */
function isNews(before: UnitSnapshot, after: UnitSnapshot): boolean {
  return (
    before.state !== after.state ||
    before.pid !== after.pid ||
    before.lastError !== after.lastError ||
    before.degraded !== after.degraded ||
    before.desired !== after.desired ||
    before.stoppedByUser !== after.stoppedByUser ||
    (before.waitingFor.length === 0 && after.waitingFor.length > 0)
  );
}
