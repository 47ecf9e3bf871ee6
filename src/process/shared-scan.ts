/**
 * One look at /proc for all who look in the same turn of the event loop.
 *
 * Stopping many units at once would read every process once for each of them. Within a turn nothing
 * can be learnt by looking again: what ends meanwhile is told by an event of a later turn.
 */
import type { Clock } from '../kernel/clock.ts';
import type { ProcReader, ProcStat } from './proc-reader.ts';

export function sharedScan(proc: ProcReader, clock: Clock): ProcReader {
  let isForgetting = false;
  const scan = rememberingScan(proc, () => {
    if (isForgetting) return;
    isForgetting = true;
    clock.soon(() => {
      isForgetting = false;
      scan.forget();
    });
  });
  return scan;
}

export interface RememberingScan extends ProcReader {
  forget(): void;
}

/** Reads nothing twice: for a search that looks at many runs at one moment. @param onLook - called at each question */
export function rememberingScan(proc: ProcReader, onLook: () => void = () => undefined): RememberingScan {
  let pids: readonly number[] | undefined;
  const stats = new Map<number, ProcStat | undefined>();
  const variables = new Map<string, string | undefined>();
  const remembered = <K, V>(known: Map<K, V>, key: K, look: () => V): V => {
    onLook();
    if (known.has(key)) return known.get(key) as V;
    const value = look();
    known.set(key, value);
    return value;
  };
  return {
    pids() {
      onLook();
      return (pids ??= proc.pids());
    },
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
