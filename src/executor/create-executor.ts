/**
 * Starts and stops units in graph order.
 *
 * One UnitRunner per unit owns that unit's state; nothing else writes it. Runners read snapshots of
 * their dependencies; the executor only tells them, once per turn of the event loop, that something
 * they depend on has changed. Stopping is starting on the reversed graph.
 *
 * Not here: how a process is spawned (process/), what "ready" means (probe/), printing (report/).
 */
import { setMaxListeners } from 'node:events';
import { createEventStream, type EventStream } from '../event/stream.ts';
import type { UnitGraph } from '../graph/unit-graph.ts';
import { unknownUnitError } from '../graph/unknown-unit.ts';
import { onAbort } from '../kernel/abort.ts';
import { latch } from '../kernel/latch.ts';
import type { RunRecord } from '../process/run-record.ts';
import { isUp, type UnitSnapshot } from '../unit/state.ts';
import { getterUnits, type Executor, type StopReport } from './executor-api.ts';
import type { ExecutorPorts } from './ports.ts';
import { watchForHints } from './retry-hints.ts';
import { createStartQueue } from './start-queue.ts';
import { UnitRunner } from './unit-runner.ts';

export interface ExecutorOptions {
  readonly graph: UnitGraph;
  readonly ports: ExecutorPorts;
  /** Default: a stream of its own. */
  readonly events?: EventStream;
  /** Runs of an earlier k3s-lite, by unit, that are gone on with (see `planAdoption`). */
  readonly adopted?: ReadonlyMap<string, RunRecord>;
}

export function createExecutor({ graph, ports, events: given, adopted }: ExecutorOptions): Executor {
  const { clock } = ports;
  const events = given ?? createEventStream({ clock });
  const startQueue = createStartQueue(clock);
  const hurry = new AbortController();
  // Every unit that is being stopped listens: no leak, so Node must not warn of one.
  setMaxListeners(0, hurry.signal);
  const runners = new Map<string, UnitRunner>();
  const wanted = new Set<string>();
  /** How many wanted units are not up; null before anything is wanted. */
  const missing = latch<number | null>(null);
  let isClosing = false;
  let startedMs = 0;
  let stopping: Promise<StopReport> | undefined;

  const runnerOf = (name: string): UnitRunner => {
    const runner = runners.get(name);
    if (runner !== undefined) return runner;
    throw unknownUnitError(name, graph.order);
  };
  const snapshotOf = (name: string) => runnerOf(name).channel.current;

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
  };

  const countMissing = () => {
    let count = 0;
    for (const name of wanted) if (!isUp(snapshotOf(name).state)) count += 1;
    return count;
  };

  const onChange = (runner: UnitRunner, before: UnitSnapshot) => {
    const after = runner.channel.current;
    const unit = runner.unit.name;
    if (isNews(before, after)) events.emit({ type: 'unit.state', unit, from: before.state, snapshot: after });
    if (!concernsDependents(before, after)) return;
    tellDependents(unit);
    if (!wanted.has(unit) || isUp(before.state) === isUp(after.state) || isClosing) return;
    const wasReady = missing.current === 0;
    missing.set(isUp(after.state) ? (missing.current ?? 1) - 1 : (missing.current ?? 0) + 1);
    if (missing.current === 0) events.emit({ type: 'up.ready', elapsedMs: clock.monotonicMs() - startedMs });
    else if (wasReady) events.emit({ type: 'up.lost', unit });
  };

  for (const name of graph.order) {
    runners.set(
      name,
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
      }),
    );
  }
  const hints = watchForHints({ clock, runners });

  const stopAll = async (reason: string): Promise<StopReport> => {
    const sinceMs = clock.monotonicMs();
    events.emit({ type: 'down.started', reason });
    hints[Symbol.dispose]();
    const stops = new Map<string, Promise<void>>();
    const stopUnit = async (runner: UnitRunner): Promise<void> => {
      const { state } = runner.channel.current;
      await Promise.all(graph.stopsAfter(runner.unit.name).map(stopOnce));
      if (state === 'inactive') return;
      runner.want('down');
      await runner.channel.when((snapshot) => snapshot.state === 'stopped');
    };
    const stopOnce = (name: string): Promise<void> => {
      const known = stops.get(name);
      if (known !== undefined) return known;
      const stop = stopUnit(runnerOf(name));
      stops.set(name, stop);
      return stop;
    };
    await Promise.all(graph.order.map(stopOnce));
    const leftovers = [...runners.values()].flatMap((runner) => runner.leftovers);
    const elapsedMs = clock.monotonicMs() - sinceMs;
    events.emit({ type: 'down.finished', elapsedMs, leftovers });
    return { elapsedMs, leftovers };
  };

  const ready = async (name: string) => runnerOf(name).channel.ready();
  const getters = Object.fromEntries(
    Object.entries(getterUnits).map(([getter, unit]) => [getter, () => ready(unit)]),
  ) as Pick<Executor, keyof typeof getterUnits>;

  return {
    graph,
    events,
    ...getters,
    start(units = graph.order) {
      for (const name of units) runnerOf(name);
      // A unit wanted again while everything stops would never be stopped.
      if (isClosing) return;
      const closure = graph.closure(units);
      for (const name of closure) wanted.add(name);
      startedMs = clock.monotonicMs();
      missing.set(countMissing());
      events.emit({
        type: 'up.started',
        units: closure.map((name) => {
          const { about, kind } = graph.unit(name);
          return { name, about, kind };
        }),
        edges: closure.flatMap((from) => graph.needs(from).map(({ kind, unit: to }) => ({ from, to, kind }))),
      });
      for (const name of closure) runnerOf(name).want('up');
    },
    unit: (name) => runnerOf(name).channel,
    snapshots: () => graph.order.map(snapshotOf),
    async ready({ units, signal } = {}) {
      const options = signal === undefined ? {} : { signal };
      if (units === undefined) {
        await missing.when((count) => count === 0, options);
        return;
      }
      const channels = units.map((name) => runnerOf(name).channel);
      while (channels.some((channel) => !isUp(channel.current.state))) {
        for (const channel of channels) await channel.when((snapshot) => isUp(snapshot.state), options);
      }
    },
    isReady: () => missing.current === 0,
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
  };
}

/** True if gates, errors or flags of dependents may depend on the change. */
function concernsDependents(before: UnitSnapshot, after: UnitSnapshot): boolean {
  return (
    before.state !== after.state ||
    before.pid !== after.pid ||
    before.exhausted !== after.exhausted ||
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
    (before.waitingFor.length === 0 && after.waitingFor.length > 0)
  );
}
