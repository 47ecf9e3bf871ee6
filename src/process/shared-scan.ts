/**
 * One look at /proc for all who look in the same turn of the event loop.
 *
 * Stopping many units at once would read every process once for each of them. Within a turn nothing
 * can be learnt by looking again: what ends meanwhile is told by an event of a later turn. What a
 * process is (not whether it lives) holds a little longer, for those who stop one after another.
 */
import type { Clock } from '../kernel/clock.ts';
import type { ProcReader, ProcStat } from './proc-reader.ts';

/**
 * For so long a pid that is listed again is the same process: the kernel gives numbers in a circle of 32,768 or more,
 * and no machine forks 300,000 times a second. Source of the circle: pid_max of proc_sys_kernel(5).
 */
const sameProcessMs = 100;

/**
 * Its `stat` and `environ` may be 100 ms old: enough to tell whose a process is, not whether it lives.
 *
 * @param isKnown - left out of `pids`: our own children are looked at by their own stops. Each leads a session with a
 *   marker of its own, and its number is nobody else's until we have taken its exit. Among a thousand units each stop
 *   would read the other 999 otherwise.
 */
export function sharedScan(proc: ProcReader, clock: Clock, isKnown: (pid: number) => boolean): ProcReader {
  let pids: readonly number[] | undefined;
  let readAtMs = Number.NEGATIVE_INFINITY;
  const facts = rememberingScan(proc);
  return {
    ...facts,
    pids() {
      if (pids !== undefined) return pids;
      clock.soon(() => (pids = undefined));
      const nowMs = clock.monotonicMs();
      if (nowMs - readAtMs > sameProcessMs) {
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
    environ: (pid, name) => remembered(variables, `${String(pid)} ${name}`, () => proc.environ(pid, name)),
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
