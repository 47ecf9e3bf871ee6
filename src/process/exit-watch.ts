/**
 * Notices the end of processes that are not our children. For these the kernel has no event that
 * Node.js could wait for (it has no pidfd): the event of their cgroup tells at once when they were
 * the last in it, and one timer for all of them looks at /proc, soon at first and then once a second.
 */
import type { Exit } from '../error/readiness-error.ts';
import type { Clock } from '../kernel/clock.ts';
import { deferred } from '../kernel/deferred.ts';
import type { UnitCgroup } from './cgroup.ts';
import { isAlive, type ProcessId, type ProcReader } from './proc-reader.ts';

const firstLookMs = 50;
/** An end is told within a second, as of our own children it is told at once. */
const rarestLookMs = 1000;

export interface WatchedProcess {
  /** How it ended, which nobody but its parent is told: `unknown`. */
  readonly exited: Promise<Exit>;
  /** Looks now, and often for a while. */
  look(): void;
}

export interface ExitWatch extends Disposable {
  /** Watches a process until it ends. */
  add(process: ProcessId, cgroup: UnitCgroup | undefined): WatchedProcess;
}

export function createExitWatch(clock: Clock, proc: ProcReader): ExitWatch {
  const looks = new Set<() => void>();
  const events = new Set<Disposable>();
  let timer: Disposable | undefined;
  let delayMs = firstLookMs;

  const lookAtAll = () => {
    for (const look of [...looks]) look();
    delayMs = Math.min(delayMs * 2, rarestLookMs);
    schedule();
  };
  const schedule = () => {
    timer?.[Symbol.dispose]();
    timer = looks.size === 0 ? undefined : clock.timer(delayMs, lookAtAll);
  };
  const hasten = () => {
    delayMs = firstLookMs;
    schedule();
  };

  return {
    add(process, cgroup) {
      const exited = deferred<Exit>();
      const look = () => {
        if (!looks.has(look) || isAlive(proc, process)) return;
        looks.delete(look);
        if (event !== undefined) events.delete(event);
        event?.[Symbol.dispose]();
        exited.resolve({ kind: 'unknown' });
      };
      looks.add(look);
      const event = cgroup?.watch(look);
      if (event !== undefined) events.add(event);
      // It may have ended before anybody watched.
      look();
      hasten();
      return {
        exited: exited.promise,
        look() {
          look();
          hasten();
        },
      };
    },
    [Symbol.dispose]() {
      looks.clear();
      timer?.[Symbol.dispose]();
      for (const event of events) event[Symbol.dispose]();
      events.clear();
    },
  };
}
