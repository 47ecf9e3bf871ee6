/**
 * What a stop of single units takes along, and in which order (design contract 1): hard dependents
 * that are wanted up forbid it, unless `cascade` takes them along; soft and parallel ones do without.
 */
import { StartupError } from '../error/startup-error.ts';
import type { UnitGraph } from '../graph/unit-graph.ts';

export interface StopPlanOptions {
  readonly graph: Pick<UnitGraph, 'order' | 'dependents'>;
  readonly units: readonly string[];
  readonly cascade: boolean;
  isWantedUp(unit: string): boolean;
}

/**
 * The units to stop, dependents first.
 *
 * @throws StartupError ERR_NEEDED that names the hard dependents, without `cascade`
 */
export function planStop({ graph, units, cascade, isWantedUp }: StopPlanOptions): readonly string[] {
  const named = new Set(units);
  const dependents = hardDependents({ graph, units, isWantedUp });
  if (!cascade && dependents.length > 0) {
    const list = dependents.join(', ');
    const subject = units.length === 1 ? (units[0] ?? '') : units.join(', ');
    throw new StartupError('ERR_NEEDED', `cannot stop ${subject}: needed by ${list}`, {
      units,
      dependents,
      hint: `\`--cascade\` stops ${dependents.length === 1 ? 'it' : 'them'} first`,
    });
  }
  const taken = new Set([...named, ...dependents]);
  return graph.order.filter((name) => taken.has(name)).reverse();
}

/** Units wanted up that need one of `units`, directly or through others, in stop order; without `units` themselves. */
export function hardDependents({ graph, units, isWantedUp }: Omit<StopPlanOptions, 'cascade'>): readonly string[] {
  const found = new Set(units);
  const stack = [...units];
  for (let name = stack.pop(); name !== undefined; name = stack.pop()) {
    for (const { unit, need } of graph.dependents(name)) {
      if (need.kind !== 'hard' || found.has(unit) || !isWantedUp(unit)) continue;
      found.add(unit);
      stack.push(unit);
    }
  }
  for (const name of units) found.delete(name);
  return graph.order.filter((name) => found.has(name)).reverse();
}

/**
 * Calls `stop` for each of `names`, for one when it has ended for all of `names` that go before it
 * (`stopsAfter`). Resolves when it has ended for all.
 */
export async function inStopOrder(
  names: Iterable<string>,
  stopsAfter: (name: string) => readonly string[],
  stop: (name: string) => Promise<void>,
): Promise<void> {
  const own = new Set(names);
  const stops = new Map<string, Promise<void>>();
  const stopUnit = async (name: string): Promise<void> => {
    const before = stopsAfter(name).filter((other) => own.has(other));
    await Promise.all(before.map(stopOnce));
    await stop(name);
  };
  const stopOnce = (name: string): Promise<void> => {
    const known = stops.get(name);
    if (known !== undefined) return known;
    const stopping = stopUnit(name);
    stops.set(name, stopping);
    return stopping;
  };
  await Promise.all([...own].map(stopOnce));
}
