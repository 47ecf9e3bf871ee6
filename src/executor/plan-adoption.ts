/**
 * What becomes of the runs that an earlier k3s-lite left: which are gone on with, and which are
 * ended, and why. Pure.
 *
 * A run is adopted when it is certain that it is what this graph would start: the unit is wanted,
 * its effective content is the same (hash), so is the file of its program, its main process is alive,
 * and whether it is ready can be found out. What the environment of `up` is counts for nothing else:
 * another PATH on which the same programs are found restarts nothing. A finished task stands as long as the system that it prepared runs on.
 */
import type { UnitGraph } from '../graph/unit-graph.ts';
import type { Leftover } from '../process/leftover.ts';
import type { RunRecord } from '../process/run-record.ts';
import type { Unit } from '../unit/schema.ts';
import { hasKind } from '../probe/probe-spec.ts';

export interface AdoptionPlan {
  /** By unit. */
  readonly adopt: ReadonlyMap<string, RunRecord>;
  readonly end: readonly { readonly leftover: Leftover; readonly reason: string }[];
}

/** Whether the unit would run the program of this run now. */
export type SameProgram = (unit: Unit, record: RunRecord) => boolean;

/** @param wanted - the units that are to be up, in start order */
export function planAdoption(
  graph: UnitGraph,
  wanted: readonly string[],
  leftovers: readonly Leftover[],
  isSameProgram: SameProgram = () => true,
): AdoptionPlan {
  const reasons = new Map<Leftover, string>();
  const candidates = new Map<string, RunRecord>();
  for (const leftover of leftovers) {
    const verdict = judge(graph, wanted, leftover, isSameProgram);
    if (typeof verdict === 'string') reasons.set(leftover, verdict);
    else candidates.set(leftover.unit, verdict);
  }
  // In start order, because the loss of a dependency goes on to what is bound to it.
  const adopt = new Map<string, RunRecord>();
  for (const name of wanted) {
    const record = candidates.get(name);
    if (record === undefined) continue;
    const lost = lostDependency(graph, name, adopt);
    if (lost === undefined) adopt.set(name, record);
    else for (const leftover of leftovers) if (leftover.record === record) reasons.set(leftover, `it lost ${lost}`);
  }
  const runsOn = [...adopt.values()].some(({ finished }) => finished !== true);
  if (!runsOn) {
    adopt.clear();
    for (const leftover of leftovers) if (!reasons.has(leftover)) reasons.set(leftover, 'nothing of its system runs');
  }
  return { adopt, end: [...reasons].map(([leftover, reason]) => ({ leftover, reason })) };
}

/** Its record if it matches by itself, or why not. */
function judge(graph: UnitGraph, wanted: readonly string[], leftover: Leftover, isSameProgram: SameProgram) {
  const { unit: name, record, isMainAlive } = leftover;
  if (!graph.has(name)) return 'there is no such unit any more';
  if (!wanted.includes(name)) return 'it is not wanted';
  if (record === undefined) return 'it is not recorded';
  const unit = graph.unit(name);
  if (record.hash !== unit.hash) return 'its unit has changed';
  if (unit.kind === 'builtin') return 'its unit has changed';
  if (!isSameProgram(unit, record)) return 'its program has changed';
  if (unit.kind === 'task') return record.finished === true ? record : 'a task that was cut off runs again';
  if (!isMainAlive) return 'its main process has ended';
  // READY=1 that was sent while nobody listened is lost, and will not be sent again.
  if (record.ready !== true && hasKind(unit.ready, 'notify')) return 'it was not ready yet';
  return record;
}

/** A hard dependency whose loss matters to this unit, and that is started anew. */
function lostDependency(graph: UnitGraph, name: string, adopted: ReadonlyMap<string, RunRecord>): string | undefined {
  return graph
    .needs(name)
    .find(
      (need) =>
        need.kind === 'hard' &&
        need.onLoss !== 'keep' &&
        graph.unit(need.unit).kind === 'service' &&
        !adopted.has(need.unit),
    )?.unit;
}
