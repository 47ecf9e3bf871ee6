/**
 * One look at /proc for all who look in the same turn of the event loop.
 *
 * Stopping many units at once would read every process once for each of them. Within a turn nothing
 * can be learnt by looking again: what ends meanwhile is told by an event of a later turn.
 */
import type { Clock } from '../kernel/clock.ts';
import type { ProcReader, ProcStat } from './proc-reader.ts';

export function sharedScan(proc: ProcReader, clock: Clock): ProcReader {
  let pids: readonly number[] | undefined;
  const stats = new Map<number, ProcStat | undefined>();
  const variables = new Map<string, string | undefined>();
  let isForgetting = false;
  const forgetSoon = () => {
    if (isForgetting) return;
    isForgetting = true;
    clock.soon(() => {
      isForgetting = false;
      pids = undefined;
      stats.clear();
      variables.clear();
    });
  };
  const remembered = <K, V>(known: Map<K, V>, key: K, look: () => V): V => {
    forgetSoon();
    if (known.has(key)) return known.get(key) as V;
    const value = look();
    known.set(key, value);
    return value;
  };
  return {
    pids() {
      forgetSoon();
      return (pids ??= proc.pids());
    },
    stat: (pid) => remembered(stats, pid, () => proc.stat(pid)),
    environ: (pid, name) => remembered(variables, `${String(pid)} ${name}`, () => proc.environ(pid, name)),
    bootId: () => proc.bootId(),
  };
}
