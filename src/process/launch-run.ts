/** Launches one run of a unit: spawned, recorded, its output in its log, moved into its cgroups. */
import { closeSync } from 'node:fs';
import type { Exit } from '../error/readiness-error.ts';
import { endRun } from './end-run.ts';
import { flagWords } from './flag-words.ts';
import type { LaunchRequest, RunningProcess } from './process-port.ts';
import { keepRecord, type RecordKeeper } from './record-keeper.ts';
import { formatMarker, type RunMarker } from './run-marker.ts';
import type { RunParts } from './run-parts.ts';
import type { RunRecord } from './run-record.ts';
import type { StopTarget } from './scope-members.ts';
import { setOomScoreAdjust, spawnDetached } from './spawn.ts';
import { type CommandPlace, unitCommand } from './unit-command.ts';

export interface LaunchOptions extends LaunchRequest {
  readonly place: CommandPlace;
  /** Identifies us: generations are counted from 1 in each k3s-lite. */
  readonly supervisor: string;
}

/** @throws an Error whose `code` is the errno name if it cannot be spawned or recorded */
export function launchRun(options: LaunchOptions, parts: RunParts): RunningProcess {
  const { unit, generation, extraEnv, place, supervisor } = options;
  const { clock, proc, records, tree, limitGroups, logWatch, marker, track } = parts;
  const { name, stop } = unit;
  const notice = (text: string) => parts.notice(text, name);
  const run: RunMarker = { marker, unit: name, generation, supervisor, scope: stop.scope };
  const runText = formatMarker(run);
  const cgroupName = `${name}.${String(generation)}-${supervisor}`;
  const cgroup = tree?.create(cgroupName);
  const { memory, cpu } = unit.limits ?? {};
  const isLimited = memory !== undefined || cpu !== undefined;
  const limits = isLimited ? limitGroups?.create(cgroupName, name, { memory, cpu }) : undefined;
  const argv = [...unit.run, ...flagWords(unit.flags)];
  const request = { unit, argv, run: runText, extraEnv, cgroup: cgroup?.path, notice };
  const { isComplete, program, ...command } = unitCommand(place, request);
  const unitLog = parts.log(name);
  const { fd: output, size: logStart } = unitLog.begin();
  let spawned;
  try {
    spawned = spawnDetached({ ...command, output });
  } catch (error) {
    unitLog.finish();
    cgroup?.remove();
    throw error;
  } finally {
    closeSync(output);
  }
  const { pid } = spawned;
  let target: StopTarget;
  let keeper: RecordKeeper;
  try {
    // Readable even if it has ended: until we return to the event loop nobody has waited for it.
    const startTicks = proc.stat(pid)?.startTicks ?? 0;
    target = { pid, startTicks, scope: stop.scope, run: runText, cgroup };
    const record: RunRecord = {
      version: 1,
      unit: name,
      generation,
      hash: unit.hash,
      pid,
      startTicks,
      bootId: proc.bootId(),
      run: runText,
      program: program.file,
      programIdentity: program.identity,
      scope: stop.scope,
      stopSignal: stop.signal,
      stopWithinMs: stop.within,
      ...(cgroup === undefined ? {} : { cgroup: cgroup.path }),
      ...(limits === undefined ? {} : { limitFolders: [...limits.folders] }),
      ...(extraEnv['NOTIFY_SOCKET'] === undefined ? {} : { notifySocket: extraEnv['NOTIFY_SOCKET'] }),
      startedWallMs: clock.wallMs(),
      logStart,
    };
    records.write(record);
    keeper = keepRecord(records, record, notice);
  } catch (error) {
    // Nobody would find it after a crash of ours: it does not count as started.
    process.kill(-pid, 'SIGKILL');
    unitLog.finish();
    cgroup?.remove();
    throw error;
  }
  const watched = logWatch.add(unitLog);
  let isStopping = false;
  let exit: Exit | undefined;
  const exited = spawned.exited.then((status) => {
    // Our own SIGKILL looks the same, and the kernel may have killed a child before.
    const isOom = !isStopping && status.kind === 'signal' && (limits?.oomKills() ?? 0) > 0;
    const ended = isOom ? { ...status, outOfMemory: { limitBytes: memory } } : status;
    exit = ended;
    watched[Symbol.dispose]();
    unitLog.finish();
    if (unit.kind === 'task' && ended.kind === 'code' && ended.code === 0) keeper.finished();
    return ended;
  });
  const entered = Promise.all([limits?.enter(pid), isComplete ? undefined : cgroup?.enter(pid)]);
  track(entered);
  const onGone = parts.nowRuns(name, { pid, cgroup, limits });
  const oomScore = isComplete ? undefined : unit.limits?.oomScoreAdjust;
  if (oomScore !== undefined && !setOomScoreAdjust(pid, oomScore)) {
    notice('limits.oomScoreAdjust is not set: the system refused it');
  }
  const end = endRun(
    {
      target,
      signal: stop.signal,
      withinMs: stop.within,
      child: { exited, hasExited: () => exit !== undefined },
      exited,
      keeper,
      limits,
      entered,
      onStop: () => (isStopping = true),
      onGone,
    },
    parts,
  );
  return { pid, exited, becameReady: keeper.becameReady, suspect: () => undefined, stop: end };
}
