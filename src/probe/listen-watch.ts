/**
 * Tells when somebody begins to listen at an address of this machine: the hint of tcp, unix and http
 * checks, for which the kernel has no event.
 *
 * One timer looks for all of them: every millisecond for what has been waited for shortly, rarer for
 * what takes long anyway, so that it is noticed 0.05 % of its age late. It looks by `TryConnect`; where
 * several ports are due, one question to the kernel rules out those at which nobody listens: a refused connection costs
 * 20 µs (it is a packet, and one back), and a look at 24 of them would take half of the millisecond until the next.
 */
import type { Clock } from '../kernel/clock.ts';
import type { Address } from './connection.ts';
import type { TryConnect } from './try-connect.ts';

export interface ListenWatch {
  /** Calls `begun` once, when somebody listens there who did not at the time of the call. */
  add(address: Address, begun: () => void): Disposable;
  /** A connection to this address of this machine was accepted just now. */
  accepts(address: Address): boolean;
}

const shortestMs = 1;
const longestMs = 100;
/** Delay between two looks as a share of the time that has been waited. */
const shareOfAge = 1 / 1000;
/** From so many on it is cheaper to ask for all that listen: 0.1 ms, and 1 µs for each of them. */
const severalPorts = 8;

/** Ports at which anybody listens; undefined when that cannot be told now. */
export type ListeningPorts = () => ReadonlySet<number> | undefined;

interface Waiting {
  readonly address: Address;
  readonly sinceMs: number;
  readonly begun: () => void;
  nextMs: number;
}

/** @param listeningPorts - undefined: this kernel does not tell, each address is tried */
export function createListenWatch(clock: Clock, tryConnect: TryConnect, listeningPorts?: ListeningPorts): ListenWatch {
  const all = new Set<Waiting>();
  let timer: Disposable | undefined;

  const look = () => {
    timer = undefined;
    const nowMs = clock.monotonicMs();
    const due = [...all].filter(({ nextMs }) => nextMs <= nowMs);
    const ports =
      due.filter(({ address }) => address.kind === 'tcp').length < severalPorts ? undefined : listeningPorts?.();
    for (const waiting of due) {
      const { address } = waiting;
      const mayListen = address.kind !== 'tcp' || ports?.has(address.port) !== false;
      if (mayListen && tryConnect(address) !== 'nobody') {
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
    accepts: (address) => tryConnect(address) === 'accepts',
    add(address, begun) {
      const nowMs = clock.monotonicMs();
      const waiting: Waiting = { address, sinceMs: nowMs, begun, nextMs: nowMs };
      const isThereAlready = tryConnect(address) !== 'nobody';
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
