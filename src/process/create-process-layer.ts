/**
 * The real process layer: launches units, records them, keeps their logs, ends them.
 *
 * A unit does not need us to live: it writes to its own file and leads its own session. Disposing
 * the layer therefore ends no process; it lets go of watches and removes empty cgroups.
 *
 * Not here: the life of one run (launch-run.ts, adopt-run.ts, end-run.ts).
 */
import path from 'node:path';
import type { Clock } from '../kernel/clock.ts';
import { makeFolderWithParents } from '../kernel/make-folders.ts';
import { adoptRun } from './adopt-run.ts';
import type { CgroupTree } from './cgroup.ts';
import { createExitWatch } from './exit-watch.ts';
import { launchRun } from './launch-run.ts';
import type { LimitGroups } from './limit-groups.ts';
import { defaultLogLimits, type LogLimits } from './log-file.ts';
import { createLogWatch } from './log-watch.ts';
import { isOwnChild } from './own-children.ts';
import { pidMax, type ProcReader, systemProc } from './proc-reader.ts';
import type { ProcessPort } from './process-port.ts';
import { formatMarker } from './run-marker.ts';
import type { RunParts } from './run-parts.ts';
import { type Notice, openRunRecords } from './run-record.ts';
import { runToEnd } from './run-to-end.ts';
import { sharedScan } from './shared-scan.ts';
import { type CommandPlace, unitCommand } from './unit-command.ts';
import { openUnitLog, type UnitLog } from './unit-log.ts';
import { readUsage, type UnitUsage, type UsageTarget } from './unit-usage.ts';

export interface ProcessLayerOptions extends CommandPlace {
  readonly clock: Clock;
  /** One file of output per unit; made with mode 0700. */
  readonly logDir: string;
  /** One record per running unit; made with mode 0700. */
  readonly recordDir: string;
  /** Undefined: process group and environment marker only. */
  readonly cgroup?: CgroupTree | undefined;
  /** For units with `limits.memory` or `limits.cpu`; undefined: none has. */
  readonly limitGroups?: LimitGroups | undefined;
  /** Identifies the data directory in the environment of its processes; no slash. */
  readonly marker: string;
  readonly notice?: Notice;
  readonly logLimits?: LogLimits;
  readonly proc?: ProcReader;
}

export interface ProcessLayer extends ProcessPort, AsyncDisposable {
  /** What each running unit uses now; looked up at each call. */
  usage(): ReadonlyMap<string, UnitUsage>;
}

/** @throws the file system's error if its folders cannot be made */
export function createProcessLayer(options: ProcessLayerOptions): ProcessLayer {
  const { clock, logDir, cgroup: tree, limitGroups, marker, logLimits = defaultLogLimits, proc = systemProc } = options;
  const { notice = () => undefined } = options;
  makeFolderWithParents(logDir);
  const supervisor = `${String(process.pid)}-${String(proc.stat(process.pid)?.startTicks ?? 0)}`;
  const logs = new Map<string, UnitLog>();
  /** The present run of each unit. */
  const running = new Map<string, UsageTarget>();
  const exits = createExitWatch(clock, proc);
  const pendingWork = new Set<Promise<unknown>>();
  const told = new Set<string>();
  let temporaryFiles = 0;

  const noticeOnce: Notice = (text, unit) => {
    const key = `${unit ?? ''}\0${text}`;
    if (told.has(key)) return;
    told.add(key);
    notice(text, unit);
  };
  const log = (unit: string): UnitLog => {
    let found = logs.get(unit);
    if (found === undefined) {
      const file = path.join(logDir, `${unit}.log`);
      found = openUnitLog({ path: file, limits: logLimits, clock, notice: (text) => notice(text, unit) });
      logs.set(unit, found);
    }
    return found;
  };
  const appendSafely = (unitLog: UnitLog, text: string | Buffer) => {
    try {
      unitLog.append(text);
      void unitLog.rotateIfLarge();
    } catch (error) {
      noticeOnce(`cannot write to a log in ${logDir}: ${String(error)}`);
    }
  };

  const parts: RunParts = {
    clock,
    proc,
    search: sharedScan({ proc, clock, isKnown: isOwnChild, pidMax }),
    records: openRunRecords(options.recordDir, notice),
    tree,
    limitGroups,
    logWatch: createLogWatch(clock),
    marker,
    log,
    notice: noticeOnce,
    track(work) {
      pendingWork.add(work);
      void work.finally(() => pendingWork.delete(work));
    },
    nowRuns(unit, target) {
      running.set(unit, target);
      return () => {
        if (running.get(unit) === target) running.delete(unit);
      };
    },
  };

  return {
    launch: (request) => launchRun({ ...request, place: options, supervisor }, parts),
    adopt: (request) => adoptRun({ ...request, exits }, parts),
    async runToEnd({ unit, argv, signal }) {
      const run = formatMarker({ marker, unit: unit.name, generation: 0, supervisor, scope: 'group' });
      temporaryFiles += 1;
      const temporaryFile = path.join(logDir, `.${supervisor}.${String(temporaryFiles)}`);
      const notice = (text: string) => noticeOnce(text, unit.name);
      const command = unitCommand(options, { unit, argv, run, cgroup: undefined, notice });
      const { exit, output } = await runToEnd({ ...command, signal, temporaryFile });
      if (output.length > 0) appendSafely(log(unit.name), output);
      return { exit, output: output.toString('utf8') };
    },
    log,
    usage: () =>
      new Map(
        [...running].flatMap(([unit, target]) => {
          const usage = readUsage(target, proc);
          return usage === undefined ? [] : [[unit, usage] as const];
        }),
      ),
    append(unit, line) {
      appendSafely(log(unit), `${line}\n`);
    },
    async [Symbol.asyncDispose]() {
      parts.logWatch[Symbol.dispose]();
      exits[Symbol.dispose]();
      for (const unitLog of logs.values()) unitLog[Symbol.dispose]();
      await Promise.all(pendingWork);
      tree?.remove();
      limitGroups?.remove();
    },
  };
}
