/**
 * Who belongs to a run: everything that has to be gone when its stop has ended.
 *
 * Three signs, joined, because each alone is incomplete: the process group (left by setsid), the
 * cgroup (entered a moment after the start), the environment marker (lost by an emptied environment).
 */
import type { UnitCgroup } from './cgroup.ts';
import { isDead, type ProcessId, type ProcReader, type ProcStat } from './proc-reader.ts';
import { markerVariable, type StopScope } from './run-marker.ts';

/** What a stop has to end. */
export interface StopTarget extends ProcessId {
  readonly scope: StopScope;
  /** Value of the marker variable of this run. */
  readonly run: string;
  readonly cgroup?: UnitCgroup | undefined;
}

/**
 * All living processes of the target but us. Looks at every process of the machine: for stopping only.
 *
 * None at all may also mean that the list is older than the end of the last: what that one started is not in it.
 *
 * @param search - tells whose each process is (default: `proc`); its `pids` may leave out what cannot be of the target,
 *   the main process too
 */
export function findMembers(target: StopTarget, proc: ProcReader, search = proc): readonly ProcessId[] {
  const { pid: mainPid, startTicks: mainStart, scope, run } = target;
  const main = proc.stat(mainPid);
  const isMain = main?.startTicks === mainStart;
  const living: readonly ProcessId[] = isMain && !isDead(main) ? [{ pid: mainPid, startTicks: mainStart }] : [];
  if (scope === 'process') return living;
  // The number of a group stays reserved while it has members. When a stranger has the pid of our
  // main process, the group of that number is the stranger's too.
  const isOurGroup = main === undefined || isMain;
  const inCgroup = new Set(scope === 'cgroup' ? target.cgroup?.pids() : []);
  const members = [...living];
  for (const pid of search.pids()) {
    if (pid === process.pid || (isMain && pid === mainPid)) continue;
    const stat = search.stat(pid);
    // What a process starts cannot be older than itself.
    if (stat === undefined || isDead(stat) || stat.startTicks < mainStart) continue;
    const isMarked = () => scope === 'cgroup' && search.environ(pid, markerVariable) === run;
    const isOursInAnyGroup = inCgroup.has(pid) || isMarked();
    if (!isOursInAnyGroup && !(isOurGroup && isInGroup(stat, mainPid))) continue;
    // What the search knows may be old: whether it lives, and its group, which it may have left since.
    const now = search === proc ? stat : proc.stat(pid);
    if (now === undefined || isDead(now) || now.startTicks !== stat.startTicks) continue;
    if (isOursInAnyGroup || isInGroup(now, mainPid)) members.push({ pid, startTicks: now.startTicks });
  }
  return members;
}

/** The group of a process that was started as leader of its own session, as we start them all. */
function isInGroup({ pgrp, session }: ProcStat, mainPid: number): boolean {
  return pgrp === mainPid && session === mainPid;
}
