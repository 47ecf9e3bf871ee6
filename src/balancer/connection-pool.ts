/**
 * The connections of each server (L4): held, so that all of one can be closed by rule. How many there
 * are is the routing state's business; here is what they are.
 *
 * "With grace" means: a connection on which the server has spoken last, and nothing moves any more, is
 * between two requests as far as one can tell without looking into it, and closing it then hurts
 * nobody. One that waits for an answer, however long that takes, has until the deadline.
 */
import type { Clock } from '../kernel/clock.ts';
import type { ServerRef } from './routing-input.ts';

export interface PooledConnection {
  /** Bytes moved so far, in both directions. */
  readonly movedBytes: number;
  /** The client waits for an answer. */
  readonly isAsking: boolean;
  close(): void;
}

export interface ConnectionPool extends Disposable {
  add(server: ServerRef, connection: PooledConnection): void;
  delete(server: ServerRef, connection: PooledConnection): void;
  close(server: ServerRef, withinMs: number): void;
  keep(server: ServerRef): void;
  readonly size: number;
}

interface Closing {
  readonly byMs: number;
  /** When it was last looked at. */
  readonly movedBytes: number;
}

/** Between two looks at connections that are to be closed: what has not moved meanwhile is idle. */
export const idleMs = 100;

export function connectionPool(clock: Clock): ConnectionPool {
  const byIncarnation = new Map<number, Set<PooledConnection>>();
  const closing = new Map<PooledConnection, Closing>();
  let size = 0;
  let look: Disposable | undefined;

  const lookAgain = () => {
    look = undefined;
    const nowMs = clock.monotonicMs();
    for (const [connection, { byMs, movedBytes }] of [...closing]) {
      const present = connection.movedBytes;
      if (nowMs < byMs && (connection.isAsking || present !== movedBytes)) {
        closing.set(connection, { byMs, movedBytes: present });
        continue;
      }
      closing.delete(connection);
      connection.close();
    }
    schedule();
  };

  const schedule = () => {
    if (closing.size === 0 || look !== undefined) return;
    const nowMs = clock.monotonicMs();
    let soonestMs = nowMs + idleMs;
    for (const { byMs } of closing.values()) soonestMs = Math.min(soonestMs, byMs);
    // In the turn after: when this process was held up, what has come meanwhile is still to be read.
    look = clock.timer(Math.max(0, soonestMs - nowMs), () => {
      look = clock.soon(lookAgain);
    });
  };

  const of = ({ incarnation }: ServerRef) => byIncarnation.get(incarnation) ?? new Set<PooledConnection>();

  return {
    add(server, connection) {
      const set = of(server).add(connection);
      byIncarnation.set(server.incarnation, set);
      size += 1;
    },
    delete(server, connection) {
      const set = of(server);
      if (set.delete(connection)) size -= 1;
      if (set.size === 0) byIncarnation.delete(server.incarnation);
      closing.delete(connection);
    },
    close(server, withinMs) {
      for (const connection of [...of(server)]) {
        if (withinMs <= 0) {
          closing.delete(connection);
          connection.close();
          continue;
        }
        const byMs = clock.monotonicMs() + withinMs;
        const before = closing.get(connection);
        if (before === undefined) closing.set(connection, { byMs, movedBytes: connection.movedBytes });
        else if (byMs < before.byMs) closing.set(connection, { ...before, byMs });
      }
      schedule();
    },
    keep(server) {
      for (const connection of of(server)) closing.delete(connection);
    },
    get size() {
      return size;
    },
    [Symbol.dispose]() {
      look?.[Symbol.dispose]();
      closing.clear();
      for (const set of [...byIncarnation.values()]) for (const connection of [...set]) connection.close();
    },
  };
}
