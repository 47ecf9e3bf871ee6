/**
 * Stops what a killed k3s-lite left, without starting anything: each unit when all that depend on it are
 * gone, by the stop that its run record tells and then by its `undo`. An `undo` is run whether its unit
 * had been started or not, which nothing tells any more: it is idempotent.
 *
 * Without a graph the youngest run is stopped first: what was started later may need what was there before.
 */
import type { EventStream } from '../event/stream.ts';
import type { UnitGraph } from '../graph/unit-graph.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Leftover } from '../process/leftover.ts';
import type { UnitSnapshot } from '../unit/state.ts';
import { leftoverError } from './failure.ts';
import { initialMachine } from './machine.ts';
import type { ExecutorPorts } from './ports.ts';
import { buildSnapshot } from './snapshot.ts';
import { inStopOrder } from './stop-plan.ts';
import { runUndo } from './undo.ts';

export interface EndEarlierOptions {
  readonly leftovers: readonly Leftover[];
  /** Undefined when it is not known what was to be up. */
  readonly known:
    | {
        readonly graph: UnitGraph;
        /** Units that were to be up. */
        readonly wanted: readonly string[];
        readonly ports: Pick<ExecutorPorts, 'clock' | 'process' | 'builtins'>;
      }
    | undefined;
  readonly clock: Clock;
  readonly reason: string;
  readonly events: Pick<EventStream, 'emit'>;
  /** Ends processes, and returns the pids that survived, by unit. */
  end(leftovers: readonly Leftover[]): Promise<ReadonlyMap<string, readonly number[]>>;
}

/** Told as events, as any stop is. @returns one line for all that could not be cleared */
export async function endEarlier(options: EndEarlierOptions): Promise<readonly string[]> {
  const { leftovers, known, clock, reason, events, end } = options;
  const sinceMs = clock.monotonicMs();
  const notCleared: string[] = [];
  const ofUnit = (name: string) => leftovers.filter(({ unit }) => unit === name);
  const generationOf = (name: string) => Math.max(0, ...ofUnit(name).map(({ generation }) => generation));
  const snapshotOf = (name: string): UnitSnapshot => {
    const machine = { ...initialMachine, state: { id: 'stopped' }, generation: generationOf(name) } as const;
    const since = { wallMs: clock.wallMs(), monotonicMs: clock.monotonicMs() };
    return buildSnapshot({ unit: name, machine, since, details: {}, edges: { waitingFor: [], degraded: [] } });
  };

  const stop = async (name: string) => {
    const own = ofUnit(name);
    const generation = generationOf(name);
    const survivors = (await end(own)).get(name) ?? [];
    if (survivors.length > 0) {
      const elapsedMs = clock.monotonicMs() - sinceMs;
      const facts = { component: name, generation, phase: 'stop', elapsedMs, lastLogLines: [] } as const;
      notCleared.push(leftoverError(facts, survivors).message);
    }
    const unit = known?.graph.has(name) === true ? known.graph.unit(name) : undefined;
    if (known !== undefined && unit?.undo !== undefined) {
      const failure = await runUndo({ unit, generation, ports: known.ports, snapshotOf });
      if (failure !== undefined) {
        notCleared.push(failure);
        events.emit({ type: 'notice', level: 'warning', unit: name, text: failure });
      }
    } else if (own.length === 0) return;
    events.emit({ type: 'unit.state', unit: name, from: 'inactive', snapshot: snapshotOf(name) });
  };

  events.emit({ type: 'down.started', reason });
  const { names, stopsAfter } = known === undefined ? youngestFirst(leftovers) : byGraph(known, leftovers);
  await inStopOrder(names, stopsAfter, stop);
  events.emit({ type: 'down.finished', elapsedMs: clock.monotonicMs() - sinceMs, leftovers: notCleared });
  return notCleared;
}

interface StopOrder {
  readonly names: readonly string[];
  stopsAfter(name: string): readonly string[];
}

/** Units that are no longer in the graph go first. */
function byGraph(
  { graph, wanted }: NonNullable<EndEarlierOptions['known']>,
  leftovers: readonly Leftover[],
): StopOrder {
  const left = new Set(leftovers.map(({ unit }) => unit));
  const gone = [...left].filter((name) => !graph.has(name));
  const names = graph.order.filter((name) => left.has(name) || wanted.includes(name));
  return {
    names: [...gone, ...names],
    stopsAfter: (name) => (graph.has(name) ? [...gone, ...graph.stopsAfter(name)] : []),
  };
}

function youngestFirst(leftovers: readonly Leftover[]): StopOrder {
  const startedWallMs = ({ record }: Leftover) => record?.startedWallMs ?? 0;
  const names = [...leftovers].sort((a, b) => startedWallMs(b) - startedWallMs(a)).map(({ unit }) => unit);
  return { names, stopsAfter: (name) => names.slice(0, names.indexOf(name)).slice(-1) };
}
