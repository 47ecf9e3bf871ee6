/**
 * One look at /proc for all who look in the same turn of the event loop: stopping many units at once would read
 * every process once for each of them. What was begun since the look is not in it, so who finds nobody looks
 * again in a later turn (stop.ts). What a process is (not whether it lives) holds a little longer, for those who
 * stop one after another.
 */
import type { Clock } from '../kernel/clock.ts';
import { lazily } from '../kernel/lazily.ts';
import type { ProcReader, ProcStat } from './proc-reader.ts';

/** For so long a pid that is listed again is the same process, where numbers are given in a large circle. */
const sameProcessMs = 100;
/**
 * Numbers are given in a circle: this many forks within 100 ms are beyond any machine. Source: the kernel's default of
 * pid_max, proc_sys_kernel(5); it may be less, in a pid namespace as well.
 */
const largeCircle = 32_768;

export interface SharedScanOptions {
  readonly proc: ProcReader;
  readonly clock: Clock;
  /**
   * Left out of `pids`: our own children are looked at by their own stops. Each leads a session, and has a marker of its
   * own or none; its number is nobody else's until we have taken its exit. Among a thousand units each stop would read
   * the other 999 otherwise.
   */
  readonly isKnown: (pid: number) => boolean;
  /** Source: /proc/sys/kernel/pid_max. */
  readonly pidMax: () => number;
}

/** Its `stat` and `environ` may be 100 ms old: enough to tell whose a process is, not whether it lives. */
export function sharedScan({ proc, clock, isKnown, pidMax }: SharedScanOptions): ProcReader {
  // At the first look: no start waits for what stops need.
  const keepMs = lazily(() => (pidMax() >= largeCircle ? sameProcessMs : 0));
  let pids: readonly number[] | undefined;
  let readAtMs = Number.NEGATIVE_INFINITY;
  const facts = rememberingScan(proc);
  return {
    ...facts,
    pids() {
      if (pids !== undefined) return pids;
      clock.soon(() => (pids = undefined));
      const nowMs = clock.monotonicMs();
      if (nowMs - readAtMs >= keepMs()) {
        facts.forget();
        readAtMs = nowMs;
      }
      return (pids = proc.pids().filter((pid) => !isKnown(pid)));
    },
  };
}

export interface RememberingScan extends ProcReader {
  forget(): void;
}

/** Reads nothing twice: for a search that looks at many runs at one moment. */
export function rememberingScan(proc: ProcReader): RememberingScan {
  let pids: readonly number[] | undefined;
  const stats = new Map<number, ProcStat | undefined>();
  const variables = new Map<string, string | undefined>();
  return {
    pids: () => (pids ??= proc.pids()),
    stat: (pid) => remembered(stats, pid, () => proc.stat(pid)),
    environ(pid, name) {
      const key = `${String(pid)} ${name}`;
      const value = remembered(variables, key, () => proc.environ(pid, name));
      // Another program begins in it: the next look finds its environment.
      if (value === '' && !isKernelThread(stats.get(pid))) variables.delete(key);
      return value;
    },
    bootId: () => proc.bootId(),
    forget() {
      pids = undefined;
      stats.clear();
      variables.clear();
    },
  };
}

function remembered<K, V>(known: Map<K, V>, key: K, look: () => V): V {
  if (known.has(key)) return known.get(key) as V;
  const value = look();
  known.set(key, value);
  return value;
}

/** Children of kthreadd. Source: <linux/kthread.h>; it is started second. */
const isKernelThread = (stat: ProcStat | undefined): boolean => stat?.ppid === 2;
