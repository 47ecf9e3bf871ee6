/**
 * Dials servers in order until one answers: the next one is begun when the last one has failed, or
 * has not answered for a while (a *stagger*), so that a server that swallows packets costs a
 * fraction of a second and not a time limit. Source: RFC 8305, "Happy Eyeballs", 250 ms.
 *
 * A server that was overtaken is dialled to the end all the same: whether it answers late or not at
 * all is worth knowing. Time and the making of connections are injected.
 *
 * A race has one timer, for whatever is due first: nearly every race is over before that, and there
 * may be thousands in a second.
 */
import type { DialAttempt, GaveUp } from './balancer-event.ts';
import type { Candidate } from './candidates.ts';
import type { Clock } from '../kernel/clock.ts';
import { deferred } from '../kernel/deferred.ts';
import type { DialOutcome, ServerRef } from './routing-input.ts';

export interface DialLimits {
  /** Until the next server is begun, while this one is silent. */
  readonly staggerMs: number;
  /** For one server. */
  readonly attemptMs: number;
  /** For all of it. */
  readonly budgetMs: number;
}

/** Sources: RFC 8305 for the stagger; K3s's dialer gives each server 10 s, one after the other. */
export const defaultDialLimits: DialLimits = { staggerMs: 250, attemptMs: 5000, budgetMs: 10_000 };

/** A connection that is being made. Cancelling one that has been made closes it. */
export interface Dialling<C> {
  readonly done: Promise<C>;
  cancel(): void;
}

export interface DialRaceOptions<C> {
  /** Asked before each dial, for the list may change meanwhile; the first one that has not been dialled yet is. */
  candidates(): readonly Candidate[];
  dial(server: ServerRef): Dialling<C>;
  /** For each dial that tells something of its server; not for the winner. */
  report(server: ServerRef, outcome: DialOutcome): void;
  /** Closes a connection that came too late. */
  discard(connection: C): void;
  readonly limits: DialLimits;
  readonly clock: Clock;
}

export type DialResult<C> =
  | { readonly ok: true; readonly connection: C; readonly server: ServerRef; readonly tookMs: number }
  | { readonly ok: false; readonly gaveUp: GaveUp };

export interface DialRace<C> {
  readonly result: Promise<DialResult<C>>;
  /** So far; complete when the result is there, but for those that were overtaken. */
  readonly attempts: readonly DialAttempt[];
  /** Resolves when no dial of it is under way any more, the overtaken ones included. */
  readonly ended: Promise<void>;
  /** Ends it: nobody wants the connection any more. No effect once the result is there. */
  cancel(): void;
  /** Gives up a server while it is being dialled: it has left. */
  abandon(server: ServerRef): void;
}

interface Attempt<C> {
  readonly place: number;
  readonly server: ServerRef;
  readonly startedMs: number;
  readonly dialling: Dialling<C>;
}

/** A fault of this machine, not of the server: too many files, no port left, no memory. */
const localFaults = new Set(['EMFILE', 'ENFILE', 'EADDRNOTAVAIL', 'ENOBUFS', 'ENOMEM']);

export function dialRace<C>(options: DialRaceOptions<C>): DialRace<C> {
  const { limits, clock } = options;
  const pending = new Set<Attempt<C>>();
  const attempts: DialAttempt[] = [];
  /** Incarnations; one that has left while it was dialled may come back. */
  const dialled = new Set<number>();
  const begunMs = clock.monotonicMs();
  let started = 0;
  let isOver = false;
  /** When the next server is to be begun, whatever the last one does; undefined once there is nobody to begin. */
  let nextAtMs: number | undefined;
  let timer: Disposable | undefined;
  const result = deferred<DialResult<C>>();
  const ended = deferred();
  const endIfIdle = () => {
    if (isOver && pending.size === 0) ended.resolve();
  };

  const note = ({ server, startedMs }: Attempt<C>, outcome: string) => {
    attempts.push({ server: server.address, tookMs: clock.monotonicMs() - startedMs, outcome });
  };

  const over = (outcome: DialResult<C>) => {
    if (isOver) return;
    isOver = true;
    nextAtMs = undefined;
    result.resolve(outcome);
    schedule();
    endIfIdle();
  };

  const schedule = () => {
    timer?.[Symbol.dispose]();
    timer = undefined;
    let dueMs = isOver ? Number.POSITIVE_INFINITY : begunMs + limits.budgetMs;
    if (nextAtMs !== undefined) dueMs = Math.min(dueMs, nextAtMs);
    for (const { startedMs } of pending) dueMs = Math.min(dueMs, startedMs + limits.attemptMs);
    if (Number.isFinite(dueMs)) timer = clock.timer(Math.max(0, dueMs - clock.monotonicMs()), onDue);
  };

  const onDue = () => {
    const nowMs = clock.monotonicMs();
    if (!isOver && nowMs >= begunMs + limits.budgetMs) {
      giveUp('out of time');
      return;
    }
    const late = [...pending].filter(({ startedMs }) => nowMs >= startedMs + limits.attemptMs);
    for (const attempt of late) {
      if (!pending.has(attempt)) continue;
      cancel(attempt);
      onFailed(attempt, noAnswer(attempt));
    }
    if (nextAtMs !== undefined && nowMs >= nextAtMs) startNext();
    else schedule();
  };

  const drop = (attempt: Attempt<C>) => {
    pending.delete(attempt);
    if (isOver) schedule();
    endIfIdle();
  };

  const cancel = (attempt: Attempt<C>) => {
    drop(attempt);
    attempt.dialling.cancel();
  };

  const giveUp = (gaveUp: Extract<GaveUp, 'out of time' | 'the client left'>) => {
    // First of all: what is reported may change the list, and nothing may be dialled for that any more.
    over({ ok: false, gaveUp });
    for (const attempt of [...pending]) {
      cancel(attempt);
      note(attempt, gaveUp === 'out of time' ? 'no answer' : 'given up: the client left');
      // Whoever was still silent at the end of all time has failed; of a client that left nobody is to blame.
      if (gaveUp === 'out of time') options.report(attempt.server, failure(attempt, noAnswer(attempt)));
    }
  };

  const noAnswer = ({ startedMs }: Attempt<C>) =>
    `no answer for ${((clock.monotonicMs() - startedMs) / 1000).toFixed(1)} s`;

  const failure = ({ startedMs }: Attempt<C>, reason: string): DialOutcome => ({
    outcome: 'failed',
    reason,
    tookMs: clock.monotonicMs() - startedMs,
  });

  const startNext = () => {
    nextAtMs = undefined;
    if (isOver) return;
    const candidate = options.candidates().find((each) => !dialled.has(each.server.incarnation));
    if (candidate === undefined) {
      // While one is still silent, another one may come into the list.
      if (pending.size === 0) {
        over({ ok: false, gaveUp: started === 0 ? 'no server' : 'all servers failed' });
        return;
      }
      nextAtMs = clock.monotonicMs() + limits.staggerMs;
      schedule();
      return;
    }
    const { server } = candidate;
    const dialling = options.dial(server);
    const attempt: Attempt<C> = { place: started, server, startedMs: clock.monotonicMs(), dialling };
    started += 1;
    dialled.add(server.incarnation);
    pending.add(attempt);
    dialling.done.then(
      (connection) => onConnected(attempt, connection),
      (error: unknown) => {
        if (!pending.has(attempt)) return;
        drop(attempt);
        const { code, message } = error as NodeJS.ErrnoException;
        onFailed(attempt, code ?? message, localFaults.has(code ?? ''));
      },
    );
    nextAtMs = attempt.startedMs + limits.staggerMs;
    schedule();
  };

  const onFailed = (attempt: Attempt<C>, reason: string, isOurs = false) => {
    if (!isOver) note(attempt, reason);
    if (!isOurs) options.report(attempt.server, failure(attempt, reason));
    startNext();
  };

  const onConnected = (attempt: Attempt<C>, connection: C) => {
    if (!pending.has(attempt)) return;
    drop(attempt);
    const { server, startedMs, place } = attempt;
    const tookMs = clock.monotonicMs() - startedMs;
    if (isOver) {
      options.discard(connection);
      options.report(server, { outcome: 'late', tookMs });
      return;
    }
    note(attempt, 'connected');
    for (const other of [...pending]) {
      if (other.place > place) {
        cancel(other);
        continue;
      }
      note(other, 'slow: overtaken');
      options.report(other.server, { outcome: 'slow' });
    }
    over({ ok: true, connection, server, tookMs });
  };

  startNext();
  return {
    result: result.promise,
    ended: ended.promise,
    attempts,
    cancel() {
      if (!isOver) giveUp('the client left');
    },
    abandon({ incarnation }) {
      for (const attempt of [...pending]) {
        if (attempt.server.incarnation !== incarnation) continue;
        cancel(attempt);
        dialled.delete(incarnation);
        if (!isOver) note(attempt, 'given up: removed or drained');
        startNext();
      }
    },
  };
}
