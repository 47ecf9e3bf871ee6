/** log: a line of the unit's output matches. Lines already written in this generation count too. */
import { ProbeFailure, type Probe } from './probe.ts';

/** The part of a unit's log that this check reads. */
export interface LogLines {
  /** Calls `listener` for each new complete line. */
  follow(listener: (line: string) => void): Disposable;
  /** The last complete lines of the present generation, oldest first. */
  last(count: number): readonly string[];
}

/**
 * Only the first 1024 characters of a line are matched: what a program prints is not ours to
 * choose, and the time of a regular expression can grow much faster than the line.
 */
const maxMatched = 1024;
/** Lines that are read again when nobody follows: a program may print much before it is looked at. */
const linesBack = 1000;

export function logProbe(pattern: RegExp, log: LogLines): Probe {
  let matched = false;
  let followers = 0;
  const look = (line: string) => {
    matched ||= pattern.test(line.slice(0, maxMatched));
    return matched;
  };
  return {
    describe: () => `log ${String(pattern)}`,
    pace: { kind: 'event' },
    onHint(wake) {
      // Follow first, look back second: a line between the two is then seen twice, not never.
      followers += 1;
      const following = log.follow((line) => {
        if (!matched && look(line)) wake('log');
      });
      log.last(linesBack).some(look);
      return {
        [Symbol.dispose]: () => {
          followers -= 1;
          following[Symbol.dispose]();
        },
      };
    },
    check() {
      if (!matched && followers === 0) log.last(linesBack).some(look);
      return matched ? Promise.resolve() : Promise.reject(new ProbeFailure('no line has matched yet'));
    },
  };
}
