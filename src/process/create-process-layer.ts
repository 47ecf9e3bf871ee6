/**
 * The real process layer: launches units, records them, keeps their logs, ends them.
 *
 * A unit does not need us to live: it writes to its own file and leads its own session. Disposing
 * the layer therefore ends no process; it lets go of watches and removes empty cgroups.
 */
import { closeSync, fstatSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Exit } from '../error/readiness-error.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Unit } from '../unit/schema.ts';
import { resolveAccount } from './account.ts';
import { adoptRun } from './adopt-run.ts';
import type { CgroupTree, UnitCgroup } from './cgroup.ts';
import { childEnv } from './child-env.ts';
import { createExitWatch } from './exit-watch.ts';
import { checkFolder, findProgram } from './find-program.ts';
import { defaultLogLimits, type LogLimits } from './log-file.ts';
import { limitedCommand } from './limited-command.ts';
import { createLogWatch } from './log-watch.ts';
import type { LimitGroups } from './limit-groups.ts';
import { type ProcReader, systemProc } from './proc-reader.ts';
import { joinStops, type StopOptions } from './join-stops.ts';
import type { LaunchRequest, ProcessPort, RunningProcess } from './process-port.ts';
import { keepRecord, type RecordKeeper } from './record-keeper.ts';
import { formatMarker, markerVariable, type RunMarker } from './run-marker.ts';
import { type Notice, openRunRecords, type RunRecord } from './run-record.ts';
import { runToEnd } from './run-to-end.ts';
import type { StopTarget } from './scope-members.ts';
import { sharedScan } from './shared-scan.ts';
import { setOomScoreAdjust, spawnDetached } from './spawn.ts';
import { stopProcesses } from './stop.ts';
import { readUsage, type UnitUsage, type UsageTarget } from './unit-usage.ts';
import { openUnitLog, type UnitLog } from './unit-log.ts';

export interface ProcessLayerOptions {
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
  /** Environment from which the minimal one of the units is picked. */
  readonly baseEnv: Readonly<Record<string, string | undefined>>;
  /** Working directory of units that name none. */
  readonly defaultCwd: string;
  /** What `k3s-lite` as a unit's program stands for: Node.js and our own script. Default: it is looked for on PATH. */
  readonly ownProgram?: readonly string[];
  readonly notice?: Notice;
  readonly logLimits?: LogLimits;
  readonly proc?: ProcReader;
}

interface PrepareOptions {
  readonly extraEnv?: Readonly<Record<string, string>>;
  /** The command may enter it by itself. */
  readonly cgroup?: UnitCgroup | undefined;
}

export interface ProcessLayer extends ProcessPort, AsyncDisposable {
  /** What each running unit uses now; looked up at each call. */
  usage(): ReadonlyMap<string, UnitUsage>;
}

/** @throws the file system's error if its folders cannot be made */
export function createProcessLayer(options: ProcessLayerOptions): ProcessLayer {
  const { clock, logDir, cgroup: tree, marker, logLimits = defaultLogLimits, proc = systemProc } = options;
  const { notice = () => undefined } = options;
  mkdirSync(logDir, { recursive: true, mode: 0o700 });
  const records = openRunRecords(options.recordDir, notice);
  const supervisor = `${String(process.pid)}-${String(proc.stat(process.pid)?.startTicks ?? 0)}`;
  const logs = new Map<string, UnitLog>();
  /** The present run of each unit. */
  const running = new Map<string, UsageTarget>();
  const logWatch = createLogWatch(clock);
  const search = sharedScan(proc, clock);
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
  const track = (work: Promise<unknown>) => {
    pendingWork.add(work);
    void work.finally(() => pendingWork.delete(work));
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

  /** Everything but the output file: what to run, as whom, where, with which environment. */
  const prepare = (
    unit: Unit,
    argv: readonly string[],
    run: RunMarker,
    { extraEnv = {}, cgroup }: PrepareOptions = {},
  ) => {
    const account = resolveAccount(unit);
    const cwd = path.resolve(options.defaultCwd, unit.cwd ?? '.');
    checkFolder(cwd);
    const env = childEnv({
      unit,
      baseEnv: options.baseEnv,
      extraEnv,
      account,
      cwd,
      marker: [markerVariable, formatMarker(run)],
    });
    const [program = '', ...args] =
      argv[0] === 'k3s-lite' && options.ownProgram !== undefined ? [...options.ownProgram, ...argv.slice(1)] : argv;
    const { isComplete, ...command } = limitedCommand({
      command: { file: findProgram(program, cwd, env['PATH']), args },
      limits: unit.limits,
      account,
      cgroup: cgroup?.path,
      searchPath: env['PATH'],
      notice: (text) => noticeOnce(text, unit.name),
    });
    return { ...command, env, cwd, account: isComplete ? undefined : account, isComplete };
  };

  const limitGroupOf = ({ name, limits }: Unit, cgroupName: string) =>
    limits?.memory === undefined && limits?.cpu === undefined
      ? undefined
      : options.limitGroups?.create(cgroupName, name, limits);

  const launch = ({ unit, generation, extraEnv }: LaunchRequest): RunningProcess => {
    const { scope, signal, within } = unit.stop;
    const run: RunMarker = { marker, unit: unit.name, generation, supervisor, scope };
    const cgroupName = `${unit.name}.${String(generation)}-${supervisor}`;
    const cgroup = tree?.create(cgroupName);
    const limits = limitGroupOf(unit, cgroupName);
    const argv = [...unit.run, ...flagWords(unit.flags)];
    const { isComplete, ...prepared } = prepare(unit, argv, run, { extraEnv, cgroup });
    const unitLog = log(unit.name);
    const output = unitLog.begin();
    const logStart = fstatSync(output).size;
    let spawned;
    try {
      spawned = spawnDetached({ ...prepared, output });
    } catch (error) {
      unitLog.finish();
      cgroup?.remove();
      throw error;
    } finally {
      closeSync(output);
    }
    const { pid } = spawned;
    let exit: Exit | undefined;
    let target: StopTarget;
    let keeper: RecordKeeper;
    try {
      target = {
        pid,
        // Readable even if it has ended: until we return to the event loop nobody has waited for it.
        startTicks: proc.stat(pid)?.startTicks ?? 0,
        scope,
        run: formatMarker(run),
        cgroup,
      };
      const record: RunRecord = {
        version: 1,
        unit: unit.name,
        generation,
        hash: unit.hash,
        pid,
        startTicks: target.startTicks,
        bootId: proc.bootId(),
        run: target.run,
        program: prepared.file,
        scope,
        stopSignal: signal,
        stopWithinMs: within,
        ...(cgroup === undefined ? {} : { cgroup: cgroup.path }),
        ...(extraEnv['NOTIFY_SOCKET'] === undefined ? {} : { notifySocket: extraEnv['NOTIFY_SOCKET'] }),
        startedWallMs: clock.wallMs(),
        logStart,
      };
      records.write(record);
      keeper = keepRecord(records, record, (text) => noticeOnce(text, unit.name));
    } catch (error) {
      // Nobody would find it after a crash of ours: it does not count as started.
      process.kill(-pid, 'SIGKILL');
      unitLog.finish();
      cgroup?.remove();
      throw error;
    }
    const watched = logWatch.add(unitLog);
    let isStopping = false;
    const exited = spawned.exited.then((status) => {
      // Our own SIGKILL looks the same, and the kernel may have killed a child before.
      const isOom = !isStopping && status.kind === 'signal' && (limits?.oomKills() ?? 0) > 0;
      const ended = isOom ? { ...status, outOfMemory: { limitBytes: unit.limits?.memory } } : status;
      exit = ended;
      watched[Symbol.dispose]();
      unitLog.finish();
      if (unit.kind === 'task' && ended.kind === 'code' && ended.code === 0) keeper.finished();
      return ended;
    });
    const entered = Promise.all([limits?.enter(pid), isComplete ? undefined : cgroup?.enter(pid)]);
    track(entered);
    const usage: UsageTarget = { pid, cgroup, limits };
    running.set(unit.name, usage);
    const oomScore = isComplete ? undefined : unit.limits?.oomScoreAdjust;
    if (oomScore !== undefined && !setOomScoreAdjust(pid, oomScore)) {
      noticeOnce('limits.oomScoreAdjust is not set: the system refused it', unit.name);
    }
    const end = async ({ hurry, onStep }: StopOptions) => {
      isStopping = true;
      const remaining = await stopProcesses({
        target,
        exited,
        hasExited: () => exit !== undefined,
        signal,
        withinMs: within,
        hurry,
        onStep,
        clock,
        proc,
        search,
      });
      if (remaining.length > 0) return remaining;
      // The cgroup may be empty before our child is reaped: how it ended is told before that it is gone.
      await exited;
      keeper.remove();
      if (running.get(unit.name) === usage) running.delete(unit.name);
      track(
        entered.then(() => {
          cgroup?.remove();
          limits?.remove();
        }),
      );
      return remaining;
    };
    return { pid, exited, becameReady: keeper.becameReady, suspect: () => undefined, stop: joinStops(end) };
  };

  return {
    launch,
    adopt({ unit, record }) {
      const keeper = keepRecord(records, record, (text) => noticeOnce(text, unit.name));
      const parts = { keeper, log: log(unit.name), logWatch, exits, tree, marker, clock, proc, search, track };
      return adoptRun({ unit, record, ...parts });
    },
    async runToEnd({ unit, argv, signal }) {
      const run: RunMarker = { marker, unit: unit.name, generation: 0, supervisor, scope: 'group' };
      temporaryFiles += 1;
      const temporaryFile = path.join(logDir, `.${supervisor}.${String(temporaryFiles)}`);
      const { isComplete: _, ...prepared } = prepare(unit, argv, run);
      const { exit, output } = await runToEnd({ ...prepared, signal, temporaryFile });
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
      logWatch[Symbol.dispose]();
      exits[Symbol.dispose]();
      for (const unitLog of logs.values()) unitLog[Symbol.dispose]();
      await Promise.all(pendingWork);
      tree?.remove();
      options.limitGroups?.remove();
    },
  };

  function appendSafely(unitLog: UnitLog, text: string | Buffer): void {
    try {
      unitLog.append(text);
      void unitLog.rotateIfLarge();
    } catch (error) {
      noticeOnce(`cannot write to a log in ${logDir}: ${String(error)}`);
    }
  }
}

/** The flags of a unit as words: `--name=value`; null leaves one out. */
export function flagWords(flags: Unit['flags']): readonly string[] {
  return Object.entries(flags).flatMap(([name, value]) => (value === null ? [] : [`--${name}=${value}`]));
}
