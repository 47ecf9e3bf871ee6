/** Lines that any stranger can cause: so many in a while; of more it is told that there were, and at the end of it how many. */
import type { Clock } from '../../kernel/clock.ts';

export interface LimitedLogOptions {
  readonly log: (line: string) => void;
  readonly clock: Clock;
  /** Lines in a period (default 20). */
  readonly most?: number;
  /** Default a minute. */
  readonly periodMs?: number;
}

export interface LimitedLog extends Disposable {
  readonly log: (line: string) => void;
}

/** Disposing ends the period. */
export function limitedLog({ log, clock, most = 20, periodMs = 60_000 }: LimitedLogOptions): LimitedLog {
  let period: Disposable | undefined;
  let count = 0;
  const endPeriod = () => {
    period?.[Symbol.dispose]();
    period = undefined;
    if (count > most) log(`${String(count - most)} more lines like those before were left out`);
    count = 0;
  };
  return {
    log(line) {
      period ??= clock.timer(periodMs, endPeriod);
      count += 1;
      if (count <= most) log(line);
      else if (count === most + 1)
        log(`more than ${String(most)} lines in ${String(periodMs / 1000)} s: the others are only counted`);
    },
    [Symbol.dispose]: endPeriod,
  };
}
