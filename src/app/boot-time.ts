/**
 * Time that goes on while the machine is suspended, beside a monotonic clock that does not: what the
 * kernel shows in /proc/uptime is CLOCK_BOOTTIME, in hundredths of a second.
 */
import { readFileSync } from 'node:fs';
import type { Clock } from '../kernel/clock.ts';

/** A reading that took longer says nothing of the difference of the two. */
const closeMs = 5;
const tries = 3;

/** Where there is no /proc/uptime it is the monotonic clock itself: then nothing is ever noticed. */
export function bootTime(clock: Clock): () => number {
  let aheadMs: number | undefined;
  return () => {
    for (let count = 0; count < tries; count += 1) {
      const beforeMs = clock.monotonicMs();
      const bootMs = uptimeMs();
      const afterMs = clock.monotonicMs();
      if (bootMs === undefined) break;
      if (afterMs - beforeMs > closeMs) continue;
      aheadMs = bootMs - beforeMs;
      break;
    }
    return clock.monotonicMs() + (aheadMs ?? 0);
  };
}

function uptimeMs(): number | undefined {
  try {
    const seconds = Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]);
    return Number.isFinite(seconds) ? seconds * 1000 : undefined;
  } catch {
    return undefined;
  }
}
