/**
 * Stops processes for a while as SIGSTOP does, and lets them go on, whatever happens meanwhile: what a
 * machine looks like to others when it has hung. Each is a process group of its own, as units are.
 */
import { sleep, type Clock } from '../kernel/clock.ts';
import { systemProc, type ProcessId } from './proc-reader.ts';

export interface FreezeOptions {
  readonly pids: readonly number[];
  readonly forMs: number;
  readonly clock: Clock;
  /** Ends it early; they go on then too. */
  readonly signal: AbortSignal;
}

/** @returns how many were frozen. @throws the reason of `signal`, after all go on */
export async function freeze({ pids, forMs, clock, signal }: FreezeOptions): Promise<number> {
  const targets: readonly ProcessId[] = pids.flatMap((pid) => {
    const stat = systemProc.stat(pid);
    return stat === undefined ? [] : [{ pid, startTicks: stat.startTicks }];
  });
  try {
    for (const target of targets) signalTo(target, 'SIGSTOP');
    await sleep(clock, forMs, signal);
  } finally {
    for (const target of targets) signalTo(target, 'SIGCONT');
  }
  return targets.length;
}

function signalTo({ pid, startTicks }: ProcessId, signal: NodeJS.Signals): void {
  const stat = systemProc.stat(pid);
  if (stat?.startTicks !== startTicks) return;
  try {
    process.kill(stat.pgrp === pid ? -pid : pid, signal);
  } catch {
    // ESRCH: it has just ended.
  }
}
