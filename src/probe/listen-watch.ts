/**
 * Tells when somebody begins to listen at an address of this machine: the hint of tcp, unix and http
 * checks, for which the kernel has no event.
 *
 * One timer looks for all of them: every millisecond for what has been waited for shortly, rarer for
 * what takes long anyway, so that it is noticed 0.1 % of its age late. It looks by `TryConnect`, which
 * costs so little that a hundred addresses keep no core busy.
 */
import type { Clock } from '../kernel/clock.ts';
import type { Address } from './connection.ts';
import type { TryConnect } from './try-connect.ts';

export interface ListenWatch {
  /** Calls `begun` once, when somebody listens there who did not at the time of the call. */
  add(address: Address, begun: () => void): Disposable;
}

const shortestMs = 1;
const longestMs = 100;
/** Delay between two looks as a share of the time that has been waited. */
const shareOfAge = 1 / 500;

interface Waiting {
  readonly address: Address;
  readonly sinceMs: number;
  readonly begun: () => void;
  nextMs: number;
}

export function createListenWatch(clock: Clock, tryConnect: TryConnect): ListenWatch {
  const all = new Set<Waiting>();
  let timer: Disposable | undefined;

  const look = () => {
    timer = undefined;
    const nowMs = clock.monotonicMs();
    for (const waiting of [...all]) {
      if (waiting.nextMs > nowMs) continue;
      if (tryConnect(waiting.address)) {
        all.delete(waiting);
        waiting.begun();
      } else {
        const delayMs = (nowMs - waiting.sinceMs) * shareOfAge;
        waiting.nextMs = nowMs + Math.min(Math.max(delayMs, shortestMs), longestMs);
      }
    }
    arm();
  };
  const arm = () => {
    if (timer !== undefined || all.size === 0) return;
    const nextMs = Math.min(...[...all].map((waiting) => waiting.nextMs));
    timer = clock.timer(Math.max(nextMs - clock.monotonicMs(), shortestMs), look);
  };

  return {
    add(address, begun) {
      const nowMs = clock.monotonicMs();
      const waiting: Waiting = { address, sinceMs: nowMs, begun, nextMs: nowMs };
      const isThereAlready = tryConnect(address);
      if (!isThereAlready) {
        all.add(waiting);
        // Others may be waiting for a later look.
        timer?.[Symbol.dispose]();
        timer = undefined;
        arm();
      }
      return {
        [Symbol.dispose]: () => {
          all.delete(waiting);
          if (all.size > 0) return;
          timer?.[Symbol.dispose]();
          timer = undefined;
        },
      };
    },
  };
}
