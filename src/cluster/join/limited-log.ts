/** Lines that any stranger can cause: so many in a while; of more it is told that there were, and how many, with the next one after it. */
import type { Clock } from '../../kernel/clock.ts';

export interface LimitedLogOptions {
  readonly log: (line: string) => void;
  readonly clock: Clock;
  /** Lines in a period (default 20). */
  readonly most?: number;
  /** Default a minute. */
  readonly periodMs?: number;
}

export function limitedLog({ log, clock, most = 20, periodMs = 60_000 }: LimitedLogOptions): (line: string) => void {
  let begunMs = -Infinity;
  let count = 0;
  return (line) => {
    const nowMs = clock.monotonicMs();
    if (nowMs - begunMs >= periodMs) {
      if (count > most) log(`${String(count - most)} more lines like those before were left out`);
      begunMs = nowMs;
      count = 0;
    }
    count += 1;
    if (count <= most) log(line);
    else if (count === most + 1)
      log(`more than ${String(most)} lines in ${String(periodMs / 1000)} s: the others are only counted`);
  };
}
