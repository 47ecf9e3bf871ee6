/**
 * What a unit uses now, looked up when somebody asks and never by a timer.
 *
 * CPU time is the unit's cgroup's, which needs no controller and counts what has ended too. Memory is
 * that of its limit group if it has one, else the sum over its processes, in which pages that they share
 * are counted for each. Where there is no cgroup, all is a sum over the processes of its session.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { UnitCgroup } from './cgroup.ts';
import type { LimitGroup } from './limit-groups.ts';
import type { ProcReader } from './proc-reader.ts';

export interface UnitUsage {
  /** Of the present run. */
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
  readonly memoryPeakBytes?: number;
  readonly processes: number;
  /** Where the CPU time is from: with `processes` what has ended is missing. */
  readonly source: 'cgroup' | 'processes';
}

export interface UsageTarget {
  readonly pid: number;
  readonly cgroup?: UnitCgroup | undefined;
  readonly limits?: LimitGroup | undefined;
}

/** Clock ticks per second of /proc/PID/stat. Source: USER_HZ, 100 on every architecture that Node.js runs on. */
const ticksPerSecond = 100;

/** Undefined when nothing of it is alive. */
export function readUsage(target: UsageTarget, proc: ProcReader): UnitUsage | undefined {
  const inCgroup = target.cgroup?.pids() ?? [];
  const pids = inCgroup.length > 0 ? inCgroup : sessionOf(target.pid, proc);
  const all = pids.flatMap((pid) => processUsage(pid) ?? []);
  if (all.length === 0) return undefined;
  const cgroupSeconds = inCgroup.length > 0 ? cpuSecondsOf(target.cgroup?.path) : undefined;
  const limited = target.limits?.memory();
  const sum = (pick: (usage: ProcessUsage) => number) => all.reduce((total, usage) => total + pick(usage), 0);
  const peakBytes = limited?.peakBytes;
  return {
    cpuSeconds: cgroupSeconds ?? sum(({ cpuSeconds }) => cpuSeconds),
    memoryBytes: limited?.bytes ?? sum(({ residentBytes }) => residentBytes),
    ...(peakBytes === undefined ? {} : { memoryPeakBytes: peakBytes }),
    processes: all.length,
    source: cgroupSeconds === undefined ? 'processes' : 'cgroup',
  };
}

interface ProcessUsage {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
}

/** Source: proc(5): fields 14 to 17 of stat (children that were waited for included), VmRSS of status. */
function processUsage(pid: number): ProcessUsage | undefined {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const ticks = fields.slice(11, 15).reduce((total, field) => total + Number(field), 0);
    const [, kilobytes = '0'] =
      /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${String(pid)}/status`, 'latin1')) ?? [];
    return { cpuSeconds: ticks / ticksPerSecond, residentBytes: Number(kilobytes) * 1024 };
  } catch {
    return undefined; // It has ended.
  }
}

function cpuSecondsOf(directory: string | undefined): number | undefined {
  if (directory === undefined) return undefined;
  try {
    const us = /^usage_usec (\d+)$/m.exec(readFileSync(path.join(directory, 'cpu.stat'), 'utf8'))?.[1];
    return us === undefined ? undefined : Number(us) / 1e6;
  } catch {
    return undefined;
  }
}

/** Each unit leads a session of its own. */
function sessionOf(mainPid: number, proc: ProcReader): readonly number[] {
  return proc.pids().filter((pid) => proc.stat(pid)?.session === mainPid);
}
