/**
 * Rotates the logs of running units that nobody follows: a look every 30 s while something grows,
 * rarer while nothing does, and none at all while nothing runs.
 */
import type { Clock } from '../kernel/clock.ts';

const firstLookMs = 30_000;
const rarestLookMs = 480_000;

export interface GrowingLog {
  end(): number;
  rotateIfLarge(): Promise<void>;
}

export interface LogWatch extends Disposable {
  /** Looks after a log until disposed. */
  add(log: GrowingLog): Disposable;
}

export function createLogWatch(clock: Clock): LogWatch {
  const ends = new Map<GrowingLog, number>();
  let timer: Disposable | undefined;
  let delayMs = firstLookMs;

  const look = () => {
    let hasGrown = false;
    for (const [log, before] of ends) {
      const end = log.end();
      hasGrown ||= end !== before;
      ends.set(log, end);
      void log.rotateIfLarge();
    }
    delayMs = hasGrown ? firstLookMs : Math.min(delayMs * 2, rarestLookMs);
    timer = clock.timer(delayMs, look);
  };
  const stop = () => {
    timer?.[Symbol.dispose]();
    timer = undefined;
  };
  return {
    add(log) {
      ends.set(log, log.end());
      if (timer === undefined) {
        delayMs = firstLookMs;
        timer = clock.timer(delayMs, look);
      }
      return {
        [Symbol.dispose]() {
          ends.delete(log);
          if (ends.size === 0) stop();
        },
      };
    },
    [Symbol.dispose]: stop,
  };
}
