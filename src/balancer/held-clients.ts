/**
 * Clients for whom no server answers: kept waiting, for a while and not too many, until one does. Closed instead, each
 * would pause before it tries again, and a client of gRPC for longer each time (to 120 s at most).
 */
import type { Clock } from '../kernel/clock.ts';

export interface HoldLimits {
  /** From when the client came; 0: nobody is kept waiting. */
  readonly holdMs: number;
  readonly most: number;
}

/** Why a wait ended; a server is worth looking for after the first alone. */
export type WaitOver = 'a server answers' | 'waited for long enough' | 'the client left';

export interface Wait {
  readonly over: Promise<WaitOver>;
  /** The client has left. No effect once it is over. */
  cancel(): void;
}

export interface HeldClients {
  /** @returns undefined if it is not to wait: too many do, or it has waited for long enough */
  wait(sinceMs: number): Wait | undefined;
  /** A server answers. */
  wake(): void;
}

export function heldClients(clock: Clock, { holdMs, most }: HoldLimits): HeldClients {
  const held = new Set<(why: WaitOver) => void>();
  return {
    wait(sinceMs) {
      const leftMs = sinceMs + holdMs - clock.monotonicMs();
      if (leftMs <= 0 || held.size >= most) return undefined;
      let end: (why: WaitOver) => void = () => undefined;
      const over = new Promise<WaitOver>((resolve) => {
        const timer = clock.timer(leftMs, () => end('waited for long enough'));
        end = (why) => {
          timer[Symbol.dispose]();
          held.delete(end);
          resolve(why);
        };
        held.add(end);
      });
      return { over, cancel: () => end('the client left') };
    },
    wake() {
      for (const end of [...held]) end('a server answers');
    },
  };
}
