/** What the user does in a simulation while everything runs, told to the journal before the executor hears of it. */
import { StartupError } from '../../src/error/startup-error.ts';
import type { UnitGraph } from '../../src/graph/unit-graph.ts';
import type { Executor } from '../../src/executor/executor-api.ts';
import type { Journal, UserDeed } from './journal.ts';
import { reloadedGraph, unitName, type ReloadCase, type SimulationCase, type UserAction } from './simulation-case.ts';

export interface SimulatedUser {
  /** The supervisor was killed: the next one knows nothing of what was asked of it. */
  forget(): void;
  /** The graph of the files as they are now. */
  files(): UnitGraph;
  note(action: UserDeed, units: Iterable<string>): void;
  /** Stopped by the user, and not started again by the user. */
  isHeld(unit: string): boolean;
  wasRemoved(unit: string): boolean;
  act(action: UserAction): void;
  reload(reload: ReloadCase): void;
  isReloading(): boolean;
  /** No reload could tell whether its present definition works. */
  isUnjudged(unit: string): boolean;
}

export interface SimulatedUserOptions {
  readonly simulation: SimulationCase;
  /** The graph of the files as they were. */
  readonly first: UnitGraph;
  /** The one that runs now. */
  readonly executor: () => Executor;
  readonly journal: Journal;
  readonly violations: string[];
}

export function simulatedUser({
  simulation,
  first,
  executor: current,
  journal,
  violations,
}: SimulatedUserOptions): SimulatedUser {
  const held = new Set<string>();
  let isReloading = false;
  let reloads = 0;
  let files = first;
  /** Which supervisor it is: a reload of an earlier one says nothing any more. */
  let life = 0;
  /** Units whose present definition nobody has seen work: a rollback goes back to it all the same. */
  const unjudged = new Set<string>();
  const isWantedUp = (unit: string) => current().unit(unit).current.desired === 'up' && !held.has(unit);
  /** All that need one of `units` by hard edges and are wanted up: by the plainest means. */
  const dependentsOf = (units: ReadonlySet<string>): ReadonlySet<string> => {
    const { graph } = current();
    const found = new Set(units);
    for (let before = -1; before !== found.size;) {
      before = found.size;
      for (const name of graph.order.filter(isWantedUp)) {
        if (graph.needs(name).some((need) => need.kind === 'hard' && found.has(need.unit))) found.add(name);
      }
    }
    return found;
  };
  const removed = new Set<string>();
  /** A reload has removed it, or is about to. */
  const mustBeUnknown = (name: string, action: UserAction['action']) => {
    const executor = current();
    try {
      if (action === 'start') executor.startUnits([name]);
      else if (action === 'stop') executor.stopUnits([name]);
      else executor.restartUnits([name]);
      violations.push(`${name} is not in the graph, and is moved (${action})`);
    } catch (error) {
      if ((error as StartupError).code !== 'ERR_UNKNOWN_UNIT') violations.push(String(error));
    }
  };
  const note = (action: UserDeed, units: Iterable<string>) => {
    const all = [...units];
    journal.note({ kind: 'user', action, units: all });
    for (const unit of all) {
      if (action === 'stop') held.add(unit);
      if (action === 'start' || action === 'restart') held.delete(unit);
    }
  };

  return {
    forget() {
      life += 1;
      isReloading = false;
      held.clear();
      // The next one takes the files as they are, and has nothing to go back to.
      for (const name of files.order) unjudged.add(name);
    },
    files: () => files,
    note,
    isHeld: (unit) => held.has(unit),
    wasRemoved: (unit) => removed.has(unit),
    act({ action, unit, cascade }) {
      const name = unitName(unit % simulation.units.length);
      const executor = current();
      const { graph } = executor;
      if (!graph.has(name)) {
        mustBeUnknown(name, action);
        return;
      }
      const own = new Set([name]);
      const all = dependentsOf(own);
      switch (action) {
        case 'start':
          note('start', graph.closure(own));
          executor.startUnits([name]);
          return;
        case 'restart':
          note('restart', [...graph.closure(isWantedUp(name) ? [] : own), ...(cascade ? all : own)]);
          executor.restartUnits([name], { cascade });
          return;
        case 'stop': {
          const isRefused = !cascade && all.size > 1;
          note(isRefused ? 'refused' : 'stop', cascade ? all : own);
          try {
            executor.stopUnits([name], { cascade });
            if (isRefused) violations.push(`${name} is stopped, although ${[...all].join()} need it`);
          } catch (error) {
            if (!isRefused || (error as StartupError).code !== 'ERR_NEEDED') violations.push(String(error));
          }
        }
      }
    },
    reload(reload) {
      if (isReloading) return;
      isReloading = true;
      reloads += 1;
      const executor = current();
      const graph = reloadedGraph(simulation, reload, reloads);
      const own = life;
      const added = graph.order.filter((name) => !executor.graph.has(name));
      files = graph;
      note('reload', []);
      for (const name of executor.graph.order) {
        if (graph.has(name)) continue;
        removed.add(name);
        held.delete(name);
      }
      journal.note({ kind: 'graph', graph });
      executor
        .reload(graph)
        .then(({ waiting, plan, rolledBack }) => {
          if (life !== own) return;
          const isBack = new Set(rolledBack.map(({ unit }) => unit));
          for (const unit of plan.restart) if (!isBack.has(unit)) unjudged.delete(unit);
          // What changed while it was down, or is new, has nothing to go back to.
          const unseen = [
            ...waiting,
            ...plan.update,
            ...added,
            ...plan.start,
            ...plan.restart.filter((name) => held.has(name)),
          ];
          for (const unit of unseen) unjudged.add(unit);
        })
        .catch((error: unknown) => {
          // Everything is being stopped: nothing is left to be reloaded.
          if (life !== own) return;
          if (!(error instanceof StartupError) || error.code !== 'ERR_CONTROL') violations.push(String(error));
        })
        .finally(() => {
          if (life === own) isReloading = false;
        });
    },
    isReloading: () => isReloading,
    isUnjudged: (unit) => unjudged.has(unit),
  };
}
