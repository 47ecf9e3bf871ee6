/**
 * Dials servers in order until one answers: the next one is begun when the last one has failed, or
 * has not answered for a while (a *stagger*), so that a server that swallows packets costs a
 * fraction of a second and not a time limit. Source: RFC 8305, "Happy Eyeballs", 250 ms.
 *
 * A server that was overtaken is dialled to the end all the same: whether it answers late or not at
 * all is worth knowing. Time and the making of connections are injected.
 *
 * A race has one timer, for whatever is due first: nearly every race is over before that. There may be
 * thousands in a second, which is why it is a class that tells and is told by calls, not closures and promises.
 */
import type { DialAttempt, GaveUp } from './balancer-event.ts';
import type { Candidate } from './candidates.ts';
import type { Clock } from '../kernel/clock.ts';
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
export interface Dialling {
  cancel(): void;
}

/** Told how a dial ended: once, and not before `dial` has returned. */
export interface Dialler<C> {
  connected(connection: C): void;
  failed(error: NodeJS.ErrnoException): void;
}

export interface DialRaceOptions<C> {
  /** Asked before each dial, for the list may change meanwhile; the first one that has not been dialled yet is. */
  candidates(): readonly Candidate[];
  dial(server: ServerRef, dialler: Dialler<C>): Dialling;
  /** For each dial that tells something of its server; not for the winner. */
  report(server: ServerRef, outcome: DialOutcome): void;
  /** Closes a connection that came too late. */
  discard(connection: C): void;
  /** Once: no dial of it is under way any more, the overtaken ones included. */
  ended(): void;
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
  begin(): void;
  /** Ends it: nobody wants the connection any more. No effect once the result is there. */
  cancel(): void;
  /** Gives up a server while it is being dialled: it has left. */
  abandon(server: ServerRef): void;
}

/** Nothing is dialled before it is begun. */
export function dialRace<C>(options: DialRaceOptions<C>): DialRace<C> {
  return new Race(options);
}

/** A fault of this machine, not of the server: too many files, no port left, no memory. */
const localFaults = new Set(['EMFILE', 'ENFILE', 'EADDRNOTAVAIL', 'ENOBUFS', 'ENOMEM']);

class Attempt<C> implements Dialler<C> {
  readonly place: number;
  readonly server: ServerRef;
  readonly startedMs: number;
  dialling: Dialling | undefined;
  readonly #race: Race<C>;
  readonly #clock: Clock;

  constructor(race: Race<C>, place: number, server: ServerRef, clock: Clock) {
    this.#race = race;
    this.place = place;
    this.server = server;
    this.#clock = clock;
    this.startedMs = clock.monotonicMs();
  }

  get tookMs(): number {
    return this.#clock.monotonicMs() - this.startedMs;
  }

  connected(connection: C): void {
    this.#race.connected(this, connection);
  }

  failed({ code, message }: NodeJS.ErrnoException): void {
    this.#race.failed(this, code ?? message, localFaults.has(code ?? ''));
  }
}

class Race<C> implements DialRace<C> {
  readonly result: Promise<DialResult<C>>;
  readonly attempts: DialAttempt[] = [];
  readonly #options: DialRaceOptions<C>;
  readonly #begunMs: number;
  readonly #onDue = () => this.#due();
  #resolve!: (result: DialResult<C>) => void;
  readonly #pending: Attempt<C>[] = [];
  /** Incarnations; one that has left while it was dialled may come back. */
  #dialled: number[] = [];
  #started = 0;
  #isOver = false;
  /** When the next server is to be begun, whatever the last one does; undefined once there is nobody to begin. */
  #nextAtMs: number | undefined;
  #timer: Disposable | undefined;

  constructor(options: DialRaceOptions<C>) {
    this.#options = options;
    this.#begunMs = options.clock.monotonicMs();
    this.result = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  begin(): void {
    this.#startNext();
  }

  #startNext(): void {
    this.#nextAtMs = undefined;
    if (this.#isOver) return;
    const { limits, clock } = this.#options;
    const candidate = this.#options.candidates().find(({ server }) => !this.#dialled.includes(server.incarnation));
    if (candidate === undefined) {
      // While one is still silent, another one may come into the list.
      if (this.#pending.length === 0) {
        this.#over({ ok: false, gaveUp: this.#started === 0 ? 'no server' : 'all servers failed' });
        return;
      }
      this.#nextAtMs = clock.monotonicMs() + limits.staggerMs;
      this.#schedule();
      return;
    }
    const attempt = new Attempt(this, this.#started, candidate.server, clock);
    this.#started += 1;
    this.#dialled.push(candidate.server.incarnation);
    this.#pending.push(attempt);
    attempt.dialling = this.#options.dial(candidate.server, attempt);
    this.#nextAtMs = attempt.startedMs + limits.staggerMs;
    this.#schedule();
  }

  connected(attempt: Attempt<C>, connection: C): void {
    if (!this.#drop(attempt)) return;
    const { server, place, tookMs } = attempt;
    if (this.#isOver) {
      this.#options.discard(connection);
      this.#options.report(server, { outcome: 'late', tookMs });
      return;
    }
    this.#note(attempt, 'connected');
    for (const other of [...this.#pending]) {
      if (other.place > place) {
        this.#cancel(other);
        continue;
      }
      this.#note(other, 'slow: overtaken');
      this.#options.report(other.server, { outcome: 'slow' });
    }
    this.#over({ ok: true, connection, server, tookMs });
  }

  failed(attempt: Attempt<C>, reason: string, isOurs = false): void {
    if (!this.#drop(attempt)) return;
    if (!this.#isOver) this.#note(attempt, reason);
    if (!isOurs) this.#blame(attempt, reason);
    this.#startNext();
  }

  cancel(): void {
    if (!this.#isOver) this.#giveUp('the client left');
  }

  abandon({ incarnation }: ServerRef): void {
    for (const attempt of [...this.#pending]) {
      if (attempt.server.incarnation !== incarnation) continue;
      this.#cancel(attempt);
      this.#dialled = this.#dialled.filter((each) => each !== incarnation);
      if (!this.#isOver) this.#note(attempt, 'given up: removed or drained');
      this.#startNext();
    }
  }

  #over(outcome: DialResult<C>): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#nextAtMs = undefined;
    this.#resolve(outcome);
    this.#schedule();
    this.#endIfIdle();
  }

  #giveUp(gaveUp: Extract<GaveUp, 'out of time' | 'the client left'>): void {
    // First of all: what is reported may change the list, and nothing may be dialled for that any more.
    this.#over({ ok: false, gaveUp });
    for (const attempt of [...this.#pending]) {
      this.#cancel(attempt);
      this.#note(attempt, gaveUp === 'out of time' ? 'no answer' : 'given up: the client left');
      // Whoever was still silent at the end of all time has failed; of a client that left nobody is to blame.
      if (gaveUp === 'out of time') this.#blame(attempt, noAnswer(attempt));
    }
  }

  #schedule(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    const { limits, clock } = this.#options;
    let dueMs = this.#isOver ? Number.POSITIVE_INFINITY : this.#begunMs + limits.budgetMs;
    if (this.#nextAtMs !== undefined) dueMs = Math.min(dueMs, this.#nextAtMs);
    for (const { startedMs } of this.#pending) dueMs = Math.min(dueMs, startedMs + limits.attemptMs);
    if (Number.isFinite(dueMs)) this.#timer = clock.timer(Math.max(0, dueMs - clock.monotonicMs()), this.#onDue);
  }

  #due(): void {
    const { limits, clock } = this.#options;
    const nowMs = clock.monotonicMs();
    if (!this.#isOver && nowMs >= this.#begunMs + limits.budgetMs) {
      this.#giveUp('out of time');
      return;
    }
    const late = this.#pending.filter(({ startedMs }) => nowMs >= startedMs + limits.attemptMs);
    for (const attempt of late) {
      // What an earlier one led to may have ended it.
      if (!this.#pending.includes(attempt)) continue;
      attempt.dialling?.cancel();
      this.failed(attempt, noAnswer(attempt));
    }
    if (this.#nextAtMs !== undefined && nowMs >= this.#nextAtMs) this.#startNext();
    else this.#schedule();
  }

  #cancel(attempt: Attempt<C>): void {
    this.#drop(attempt);
    attempt.dialling?.cancel();
  }

  /** @returns false if it was given up before */
  #drop(attempt: Attempt<C>): boolean {
    const at = this.#pending.indexOf(attempt);
    if (at === -1) return false;
    this.#pending.splice(at, 1);
    if (this.#isOver) this.#schedule();
    this.#endIfIdle();
    return true;
  }

  #endIfIdle(): void {
    if (this.#isOver && this.#pending.length === 0) this.#options.ended();
  }

  #note({ server, tookMs }: Attempt<C>, outcome: string): void {
    this.attempts.push({ server: server.address, tookMs, outcome });
  }

  #blame({ server, tookMs }: Attempt<C>, reason: string): void {
    this.#options.report(server, { outcome: 'failed', reason, tookMs });
  }
}

function noAnswer({ tookMs }: { readonly tookMs: number }): string {
  return `no answer for ${(tookMs / 1000).toFixed(1)} s`;
}
