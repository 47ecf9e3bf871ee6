/**
 * Reaps what others left to us, as PID 1 or as a child subreaper: the kernel gives us every process
 * whose parent ends, and Node.js waits for its own children alone.
 *
 * The kernel shows one ended child at a time. If that is our own, Node.js takes it in this same turn
 * of the event loop; until then nobody behind it is seen, so we look again.
 */
import type { Clock } from '../kernel/clock.ts';
import type { ChildWaits } from './child-waits.ts';

export interface ReapOptions {
  readonly waits: Pick<ChildWaits, 'nextEnded' | 'reap'>;
  /** Somebody else takes its exit. */
  readonly isOwn: (pid: number) => boolean;
  readonly clock: Clock;
}

/** Reaped in one turn of the event loop; a call takes some microseconds. */
const perTurn = 500;
/** Our own child is still there after a whole turn: the machine is busy, and asking more often makes it busier. */
const patienceMs = 1;

export function reapOrphans({ waits, isOwn, clock }: ReapOptions): Disposable {
  let again: Disposable | undefined;
  const look = () => {
    again?.[Symbol.dispose]();
    again = undefined;
    for (let count = 0; ; count += 1) {
      const pid = waits.nextEnded();
      if (pid === undefined) return;
      if (count === perTurn) {
        again = clock.soon(look);
        return;
      }
      if (isOwn(pid)) {
        again = clock.timer(patienceMs, look);
        return;
      }
      waits.reap(pid);
    }
  };
  process.on('SIGCHLD', look);
  look();
  return {
    [Symbol.dispose]: () => {
      process.off('SIGCHLD', look);
      again?.[Symbol.dispose]();
    },
  };
}
