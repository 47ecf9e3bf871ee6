/**
 * A run of an earlier k3s-lite as one of ours: known by its record, not our child. Its exit code is
 * not ours to know, and its stop is the one that was written down when it started.
 */
import type { Exit } from '../error/readiness-error.ts';
import type { Clock } from '../kernel/clock.ts';
import { type CgroupTree, findCgroup, type UnitCgroup } from './cgroup.ts';
import type { ExitWatch } from './exit-watch.ts';
import { joinStops } from './join-stops.ts';
import type { LogWatch } from './log-watch.ts';
import type { ProcReader } from './proc-reader.ts';
import type { AdoptRequest, RunningProcess } from './process-port.ts';
import type { RecordKeeper } from './record-keeper.ts';
import type { RunRecord } from './run-record.ts';
import type { StopTarget } from './scope-members.ts';
import { stopProcesses } from './stop.ts';
import type { UnitLog } from './unit-log.ts';

/** How long the kernel may take to count the dead of a cgroup, in milliseconds. */
const emptyWithinMs = 2_000;

export interface AdoptOptions extends AdoptRequest {
  readonly log: UnitLog;
  readonly logWatch: LogWatch;
  readonly exits: ExitWatch;
  readonly keeper: RecordKeeper;
  readonly tree: CgroupTree | undefined;
  /** As given to the process layer. */
  readonly marker: string;
  readonly clock: Clock;
  readonly proc: ProcReader;
  readonly search: ProcReader;
  /** Work that has to end before the layer is disposed. */
  track(work: Promise<unknown>): void;
}

export function adoptRun(options: AdoptOptions): RunningProcess {
  const { record, log, logWatch, exits, keeper, clock, proc, search, track } = options;
  const { pid, startTicks, scope, run } = record;
  const cgroup = cgroupOf(options);
  const target: StopTarget = { pid, startTicks, scope, run, cgroup };
  log.resume(record.logStart);
  const watched = logWatch.add(log);
  const main = record.finished === true ? finished() : exits.add({ pid, startTicks }, cgroup);
  // Killed between the spawn and the move: what it has forked since is known by its group and marker.
  const entered = cgroup === undefined || cgroup.pids().includes(pid) ? undefined : cgroup.enter(pid);
  if (entered !== undefined) track(entered);
  const exited = main.exited.then((exit) => {
    watched[Symbol.dispose]();
    log.finish();
    return exit;
  });

  return {
    pid,
    exited,
    becameReady: keeper.becameReady,
    suspect: main.look,
    stop: joinStops(async ({ hurry, onStep }) => {
      const remaining = await stopProcesses({
        target,
        signal: record.stopSignal as NodeJS.Signals,
        withinMs: record.stopWithinMs,
        hurry,
        onStep,
        clock,
        proc,
        search,
      });
      if (remaining.length > 0) return remaining;
      main.look();
      // How it ended is told before that it is gone.
      await exited;
      keeper.remove();
      if (cgroup !== undefined) track(removeWhenEmpty(cgroup, entered, clock));
      return remaining;
    }),
  };
}

/** Nobody of ours reaps what was in it: the kernel may need a moment more than its stop. */
async function removeWhenEmpty(cgroup: UnitCgroup, entered: Promise<boolean> | undefined, clock: Clock): Promise<void> {
  await entered;
  await new Promise<void>((resolve) => {
    const end = () => {
      timer[Symbol.dispose]();
      watch[Symbol.dispose]();
      resolve();
    };
    const timer = clock.timer(emptyWithinMs, end);
    const watch = cgroup.watch(() => {
      if (!cgroup.isPopulated()) end();
    });
    if (!cgroup.isPopulated()) end();
  });
  cgroup.remove();
}

/** A task that has ended well, as its record says; nothing has to be watched. */
function finished() {
  const exit: Exit = { kind: 'code', code: 0 };
  return { exited: Promise.resolve(exit), look: () => undefined };
}

/** In our own tree it is one of its folders, made if it is missing; elsewhere (another login) only what is there. */
function cgroupOf({ record, tree, marker }: AdoptOptions): UnitCgroup | undefined {
  const { cgroup } = record satisfies RunRecord;
  if (cgroup === undefined) return undefined;
  const isInOurTree = tree !== undefined && cgroup.startsWith(`${tree.path}/`);
  return isInOurTree ? tree.create(cgroup.slice(tree.path.length + 1)) : findCgroup(cgroup, marker);
}
