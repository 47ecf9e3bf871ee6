/**
 * The difference of two graphs as what has to be done: only what changed restarts. Pure.
 *
 * A unit has changed when its hash has; other edges alone need no restart, because they say nothing
 * to its process.
 */
import type { ReloadPlan } from '../event/reload-plan.ts';
import type { UnitGraph } from '../graph/unit-graph.ts';

export interface ReloadView {
  readonly before: UnitGraph;
  readonly after: UnitGraph;
  /** Units that are to be up by what `after` says and by what was asked for. */
  readonly wanted: readonly string[];
  /** It was wanted up before, or the user stopped it: the plan does not start it. */
  isSettled(unit: string): boolean;
  isWantedUp(unit: string): boolean;
  /** Units whose hash does not tell all, such as builtins that read the settings. */
  isAlsoChanged?(unit: string): boolean;
}

export function planReload(view: ReloadView): ReloadPlan {
  const { before, after, isWantedUp, isAlsoChanged = () => false } = view;
  const common = after.order.filter((name) => before.has(name));
  const changed = common.filter((name) => before.unit(name).hash !== after.unit(name).hash || isAlsoChanged(name));
  const restart = changed.filter(isWantedUp);
  const restarts = new Set(restart);
  const moved = new Set(changed);
  return {
    stop: before.order.filter((name) => !after.has(name)).reverse(),
    restart,
    start: after.order.filter((name) => view.wanted.includes(name) && !(before.has(name) && view.isSettled(name))),
    update: common.filter((name) => !restarts.has(name) && (moved.has(name) || !hasSameEdges(before, after, name))),
  };
}

/** The order of edges only says which gate is told first. */
function hasSameEdges(before: UnitGraph, after: UnitGraph, name: string): boolean {
  const edges = (graph: UnitGraph) =>
    graph
      .needs(name)
      .map((need) => JSON.stringify(Object.entries(need).sort()))
      .sort()
      .join();
  return edges(before) === edges(after);
}
