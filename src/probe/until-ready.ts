/**
 * Asks a probe until it passes, its time is up, or its process has ended.
 *
 * Every wait of a start on something outside goes through here: one rhythm, one kind of error, one
 * place where attempts are counted. Not here: what is asked (the kinds), what follows (executor/).
 */
import { AttemptLog, type Attempt, type Exit, type ReadinessPhase } from '../error/readiness-error.ts';
import { abortable, abortError, linkedAbort } from '../kernel/abort.ts';
import type { Clock } from '../kernel/clock.ts';
import { formatDurationMs } from '../kernel/duration.ts';
import { retryUntil } from '../kernel/retry.ts';
import type { FailureContext } from './hints.ts';
import { outcomeOf } from './outcome.ts';
import { pacer } from './pace.ts';
import { ProbeFailure, type Probe } from './probe.ts';
import { readinessFailure } from './readiness-failure.ts';

export interface UntilReadyOptions {
  readonly probe: Probe;
  /** Name of the unit, for the error. */
  readonly component: string;
  readonly generation: number;
  readonly phase?: ReadinessPhase;
  readonly clock: Clock;
  /** Returns [0, 1): jitter. */
  readonly random: () => number;
  readonly signal: AbortSignal;
  /** Delay after the first failed attempt, in milliseconds (default 5). */
  readonly firstMs?: number;
  /** Growth of the delay (default 1.5). */
  readonly factor?: number;
  /** Random share of the delay, 0 to 1 (default 0.2). */
  readonly jitter?: number;
  /** Longest delay (default 250 ms; an event-driven probe is asked less often). */
  readonly startCapMs?: number;
  /** How long one attempt may take (default 2000 ms). */
  readonly attemptTimeoutMs?: number;
  /** Passes in a row that are needed (default 1). */
  readonly successes?: number;
  /** Monotonic time at which patience ends; read again whenever it is reached, because EXTEND_TIMEOUT_USEC moves it. */
  readonly deadline?: () => number;
  readonly onAttempt?: (attempt: Attempt, count: number) => void;
  readonly onHint?: (source: string) => void;
  /** Last output of the process, oldest first; read only for an error. */
  readonly lastLogLines?: () => readonly string[];
  /** The process that is to become ready; when it ends, so does the waiting. */
  readonly exited?: Promise<Exit> | undefined;
  /** Who holds a port, for the hint of an error; see `whoHoldsPort`. */
  readonly holderOf?: FailureContext['holderOf'];
}

export interface ReadyAfter {
  readonly attempts: number;
  readonly elapsedMs: number;
}

/**
 * Resolves when `probe` has passed `successes` times in a row. The first attempt is made at once,
 * the next ones after growing delays, or as soon as the probe gives a hint.
 *
 * @throws {@link ReadinessError} ERR_NOT_READY at the deadline, or at a failure that no retry mends
 *   (`cause` is the last failure); ERR_EXITED when the process ends; the reason of `signal` when it
 *   aborts. Nothing is left running.
 */
export async function untilReady(options: UntilReadyOptions): Promise<ReadyAfter> {
  const { probe, clock, random, signal, attemptTimeoutMs = 2000, successes = 1 } = options;
  const attempts = new AttemptLog();
  const startedMs = clock.monotonicMs();
  const elapsedMs = () => clock.monotonicMs() - startedMs;
  const delayAfter = pacer({
    pace: probe.pace,
    firstMs: options.firstMs ?? 5,
    factor: options.factor ?? 1.5,
    jitter: options.jitter ?? 0.2,
    capMs: options.startCapMs ?? 250,
    random,
  });
  const end = linkedAbort(signal);
  let exit: Exit | undefined;
  let lastFailure: unknown;
  let lastMs = 0;
  let passes = 0;

  const attempt = async (_count: number, outer: AbortSignal) => {
    const beganMs = clock.monotonicMs();
    const record = (outcome: string) => {
      lastMs = clock.monotonicMs() - beganMs;
      const entry = { at: clock.wallMs() - lastMs, ms: lastMs, outcome };
      attempts.add(entry);
      options.onAttempt?.(entry, attempts.count);
    };
    try {
      await checkWithin(probe, clock, attemptTimeoutMs, outer);
    } catch (failure) {
      if (outer.aborted) throw failure;
      passes = 0;
      lastFailure = failure;
      record(outcomeOf(failure));
      throw failure;
    }
    passes += 1;
    record('ok');
    if (passes < successes) throw new ProbeFailure(`passed ${String(passes)} of ${String(successes)} times`);
  };

  const watchDeadline = deadlineWatch(clock, options.deadline, () => {
    end.abort(new Error('deadline'));
  });
  void options.exited?.then((ended) => {
    exit = ended;
    end.abort(new Error('exited'));
  });

  try {
    await retryUntil({
      attempt,
      backoff: (count) => {
        const isWatched = lastFailure instanceof ProbeFailure && lastFailure.isWatched;
        return delayAfter({ count, elapsedMs: elapsedMs(), tookMs: lastMs, isWatched });
      },
      clock,
      random,
      signal: end.signal,
      shouldRetry: (failure) => !(failure instanceof ProbeFailure) || failure.retry,
      ...hintSource(probe, options.onHint),
    });
    return { attempts: attempts.count, elapsedMs: elapsedMs() };
  } catch {
    if (signal.aborted) throw abortError(signal);
    throw readinessFailure(options, { attempts, elapsedMs: elapsedMs(), exit, lastFailure });
  } finally {
    watchDeadline[Symbol.dispose]();
    end[Symbol.dispose]();
  }
}

/**
 * One attempt: `probe.check` with a time limit. A check that ignores its signal is left behind.
 *
 * @throws what the check throws; {@link ProbeFailure} when it took too long; the reason of `outer`
 */
export async function checkWithin(probe: Probe, clock: Clock, limitMs: number, outer: AbortSignal): Promise<void> {
  const limit = linkedAbort(outer);
  const timer = clock.timer(limitMs, () => {
    limit.abort(new ProbeFailure(`no answer within ${formatDurationMs(limitMs)}`));
  });
  try {
    await abortable(probe.check(limit.signal), limit.signal);
  } finally {
    timer[Symbol.dispose]();
    limit[Symbol.dispose]();
  }
}

function hintSource(probe: Probe, tell: ((source: string) => void) | undefined) {
  if (probe.onHint === undefined) return {};
  return {
    onHint: (wake: () => void): Disposable =>
      probe.onHint?.((source) => {
        tell?.(source);
        wake();
      }) ?? { [Symbol.dispose]: () => undefined },
  };
}

/** Calls `pass` when the deadline is reached, having looked whether it has moved meanwhile. */
function deadlineWatch(clock: Clock, deadline: (() => number) | undefined, pass: () => void): Disposable {
  if (deadline === undefined) return { [Symbol.dispose]: () => undefined };
  let timer: Disposable | undefined;
  const arm = () => {
    const leftMs = deadline() - clock.monotonicMs();
    if (leftMs > 0) timer = clock.timer(leftMs, arm);
    else pass();
  };
  arm();
  return { [Symbol.dispose]: () => timer?.[Symbol.dispose]() };
}
