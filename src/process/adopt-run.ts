/**
 * A run of an earlier k3s-lite as one of ours: known by its record, not our child. Its exit code is
 * not ours to know, and its stop is the one that was written down when it started.
 */
import type { Exit } from '../error/readiness-error.ts';
import type { Unit } from '../unit/schema.ts';
import { findCgroup, type UnitCgroup } from './cgroup.ts';
import { endRun } from './end-run.ts';
import type { ExitWatch, WatchedProcess } from './exit-watch.ts';
import type { LimitGroup } from './limit-groups.ts';
import type { AdoptRequest, RunningProcess } from './process-port.ts';
import { keepRecord } from './record-keeper.ts';
import type { RunParts } from './run-parts.ts';
import type { RunRecord } from './run-record.ts';

export interface AdoptOptions extends AdoptRequest {
  readonly exits: ExitWatch;
}

export function adoptRun({ unit, record, exits }: AdoptOptions, parts: RunParts): RunningProcess {
  const { records, logWatch, track } = parts;
  const { pid, startTicks, scope, run, finished: isFinished = false } = record;
  const keeper = keepRecord(records, record, (text) => parts.notice(text, unit.name));
  const log = parts.log(unit.name);
  const cgroup = cgroupOf(record, parts);
  log.resume(record.logStart);
  const watched = logWatch.add(log);
  const main = isFinished ? finished() : exits.add({ pid, startTicks }, cgroup);
  // Killed between the spawn and the move: what it has forked since is known by its group and marker.
  const entered = cgroup === undefined || cgroup.pids().includes(pid) ? undefined : cgroup.enter(pid);
  if (entered !== undefined) track(entered);
  const limits = limitsOf(unit, record, parts);
  if (limits !== undefined && !isFinished) track(limits.enter(pid));
  const killsBefore = limits?.oomKills() ?? 0;
  let isStopping = false;
  const exited = main.exited.then((exit): Exit => {
    watched[Symbol.dispose]();
    log.finish();
    const isOom = !isStopping && !isFinished && (limits?.oomKills() ?? 0) > killsBefore;
    return isOom ? { kind: 'unknown', outOfMemory: { limitBytes: unit.limits?.memory } } : exit;
  });
  const onGone = isFinished ? () => undefined : parts.nowRuns(unit.name, { pid, cgroup, limits });
  const end = endRun(
    {
      target: { pid, startTicks, scope, run, cgroup },
      signal: record.stopSignal as NodeJS.Signals,
      withinMs: record.stopWithinMs,
      exited,
      keeper,
      limits,
      entered: Promise.resolve(entered),
      onStop: () => (isStopping = true),
      onEmpty: main.look,
      onGone,
    },
    parts,
  );
  return { pid, exited, becameReady: keeper.becameReady, suspect: main.look, stop: end };
}

/** A task that has ended well, as its record says; nothing has to be watched. */
function finished(): WatchedProcess {
  return { exited: Promise.resolve({ kind: 'code', code: 0 }), look: () => undefined };
}

/** Those that were made for it; a limit that was not set then (it was killed before) is set now. */
function limitsOf({ name, limits }: Unit, { limitFolders = [] }: RunRecord, parts: RunParts): LimitGroup | undefined {
  return limits === undefined || limitFolders.length === 0
    ? undefined
    : parts.limitGroups?.reopen(limitFolders, name, limits);
}

/** In our own tree it is one of its folders, made if it is missing; elsewhere (another login) only what is there. */
function cgroupOf({ cgroup }: RunRecord, { tree, marker }: RunParts): UnitCgroup | undefined {
  if (cgroup === undefined) return undefined;
  const isInOurTree = tree !== undefined && cgroup.startsWith(`${tree.path}/`);
  return isInOurTree ? tree.create(cgroup.slice(tree.path.length + 1)) : findCgroup(cgroup, marker);
}
