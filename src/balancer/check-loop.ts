/**
 * Asks one server again and again whether it is well (L3). A check is a connection of its own with a
 * limit of its own: it takes nothing from the connections of clients, and is not delayed by them.
 *
 * A server that says no (refuses, resets, answers 500) is believed at once. One that only says
 * nothing is asked again at once, as often as `silences` says, before that counts: a busy one
 * answers late, and moving everybody's connections makes nothing less busy.
 */
import { linkedAbort } from '../kernel/abort.ts';
import { jitteredMs } from '../kernel/backoff.ts';
import type { Clock } from '../kernel/clock.ts';
import { wakeablePause } from '../kernel/wakeable-pause.ts';
import { outcomeOf } from '../probe/outcome.ts';
import type { Probe } from '../probe/probe.ts';
import type { FailedCheck } from './routing-input.ts';

export interface CheckPace {
  readonly everyMs: number;
  /** Of a server that carries connections, where that is to be another; it is the one that must not fail unseen. */
  readonly usedEveryMs?: number | undefined;
  /** For one check. */
  readonly withinMs: number;
  /** Checks in a row without an answer that make a failure. */
  readonly silences: number;
}

/** Source of the rhythm: K3s looks at its health once a second. A silent server is known within 2 s, 1.25 s once it is dialled. */
export const defaultCheckPace: CheckPace = { everyMs: 1000, withinMs: 500, silences: 2 };

export type CheckResult = { readonly outcome: 'ok'; readonly tookMs: number } | FailedCheck;

export interface CheckLoopOptions {
  readonly probe: Probe;
  readonly pace: CheckPace;
  readonly clock: Clock;
  /** In [0, 1): spreads the checks of many. */
  readonly random: () => number;
  /** The server carries connections. */
  readonly isUsed: () => boolean;
  report(result: CheckResult): void;
}

export interface CheckLoop extends Disposable {
  /** Asks now; while an answer is awaited, that one will do. */
  recheck(): void;
}

/** Share of the pause that is random. */
const jitter = 0.1;

/** Asks at once, and then on and on until it is disposed. */
export function checkLoop({ probe, pace, clock, random, isUsed, report }: CheckLoopOptions): CheckLoop {
  const life = linkedAbort();
  const pause = wakeablePause(clock, life.signal);
  const isAlive = () => !life.signal.aborted;

  const run = async () => {
    let silences = 0;
    while (isAlive()) {
      const answer = await askOnce({ probe, withinMs: pace.withinMs, clock, signal: life.signal });
      if (!isAlive()) return;
      silences = answer.outcome === 'silent' ? silences + 1 : 0;
      if (answer.outcome === 'silent' && silences < pace.silences) continue;
      report(
        answer.outcome === 'silent'
          ? {
              outcome: 'failed',
              reason: `${probe.describe()}: no answer within ${String(pace.withinMs)} ms`,
              silentForMs: silences * pace.withinMs,
            }
          : answer,
      );
      silences = 0;
      // What was asked for meanwhile, that answer has given.
      pause.forgetHints();
      const everyMs = isUsed() ? (pace.usedEveryMs ?? pace.everyMs) : pace.everyMs;
      await pause.wait(jitteredMs(everyMs, jitter, random)).catch(() => undefined); // its life is over
    }
  };
  void run();

  return {
    recheck: pause.wake,
    [Symbol.dispose]: () => life.abort(new Error('the server has left')),
  };
}

type Answer = CheckResult | { readonly outcome: 'silent' };

interface AskOptions {
  readonly probe: Probe;
  readonly withinMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

async function askOnce({ probe, withinMs, clock, signal }: AskOptions): Promise<Answer> {
  using attempt = linkedAbort(signal);
  const startedMs = clock.monotonicMs();
  const limit = { isOver: false };
  using _limit = clock.timer(withinMs, () => {
    limit.isOver = true;
    attempt.abort(new Error('no answer'));
  });
  try {
    await probe.check(attempt.signal);
    return { outcome: 'ok', tookMs: clock.monotonicMs() - startedMs };
  } catch (error) {
    return limit.isOver
      ? { outcome: 'silent' }
      : { outcome: 'failed', reason: `${probe.describe()}: ${outcomeOf(error)}` };
  }
}
