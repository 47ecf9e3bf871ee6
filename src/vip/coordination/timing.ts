/**
 * The times of an election, and what must hold between them (demand V11). Pure.
 *
 * A set that cannot keep its promise is refused with the reason and a remedy, before anything starts:
 * client-go's own check knows nothing of what it takes to withdraw, and of how far clocks drift apart.
 */
import { formatDurationMs } from '../../kernel/duration.ts';
import { err, ok, type Result } from '../../kernel/result.ts';

export interface LeaseTimes {
  /** D: how long a Lease counts after its last change, on the clock of whoever looks at it. */
  readonly leaseDurationMs: number;
  /** R: how long one renewal may be tried. */
  readonly renewDeadlineMs: number;
  /** P: from one renewal to the next. */
  readonly retryPeriodMs: number;
}

/** What the machine needs for it, measured or supposed. */
export interface TimingFacts {
  /** From the decision to the last answered ARP request. */
  readonly withdrawMs: number;
  /** How late a timer may fire: the kernel's and the event loop's. */
  readonly timerErrorMs: number;
  /** How much faster one monotonic clock may run than another, as a share. */
  readonly driftRate: number;
}

export interface Timing extends LeaseTimes, TimingFacts {
  /** A holder's own deadline is this much before the end of its Lease. */
  readonly marginMs: number;
  /** Who waits for a Lease to run out waits this much longer. */
  readonly graceMs: number;
  /** Limit of one request. */
  readonly callMs: number;
}

export interface TimingMistake {
  readonly reason: string;
  readonly remedy: string;
}

/** As in kube-vip's documentation; the renewal fits between the others with the margin to spare. */
export const defaultTimes: LeaseTimes = { leaseDurationMs: 5000, renewDeadlineMs: 3000, retryPeriodMs: 1000 };

/**
 * Withdrawing is one nft transaction and one run of `ip` (about 10 ms); 50 on a busy machine. Drift: NTP
 * slews by 500 ppm at most (RFC 5905), twice that between two machines.
 */
export const supposedFacts: TimingFacts = { withdrawMs: 50, timerErrorMs: 40, driftRate: 0.001 };

/** client-go's JitterFactor: its first retry comes up to 1.2 periods later. Source: client-go leaderelection. */
const jitterFactor = 1.2;
/** One retry is none: three must fit, with the shortest pauses between them. */
const leastAttempts = 3;
export const shortestCallMs = 100;
const longestMs = 3_600_000;

/** @returns the times with what follows from them, or every mistake in them */
export function checkTiming(
  times: LeaseTimes,
  facts: TimingFacts = supposedFacts,
): Result<Timing, readonly TimingMistake[]> {
  const { leaseDurationMs: lease, renewDeadlineMs: renew, retryPeriodMs: retry } = times;
  const { withdrawMs, timerErrorMs, driftRate } = facts;
  const mistakes: TimingMistake[] = [];
  const must = (holds: boolean, reason: string, remedy: string) => {
    if (!holds) mistakes.push({ reason, remedy });
  };
  const text = formatDurationMs;

  for (const [flag, value] of Object.entries({
    '--lease-duration': lease,
    '--renew-deadline': renew,
    '--retry-period': retry,
  })) {
    const isTime = Number.isInteger(value) && value > 0 && value <= longestMs;
    must(isTime, `${flag} is ${String(value)} ms`, `give it whole milliseconds, at most ${text(longestMs)}`);
  }
  if (mistakes.length > 0) return err(mistakes);

  const marginMs = Math.min(Math.max(Math.round(lease / 10), 100), 500);
  const driftMs = Math.ceil(2 * driftRate * lease);
  const neededMs = driftMs + withdrawMs + timerErrorMs;
  must(
    lease > renew,
    `--lease-duration ${text(lease)} is not longer than --renew-deadline ${text(renew)}`,
    'a Lease has to outlast the tries to renew it: raise the one or lower the other',
  );
  must(
    renew > jitterFactor * retry,
    `--renew-deadline ${text(renew)} is not longer than ${String(jitterFactor)} × --retry-period ${text(retry)}`,
    `set --retry-period below ${text(Math.floor(renew / jitterFactor))}`,
  );
  must(
    renew >= leastAttempts * 2 * shortestCallMs,
    `${String(leastAttempts)} attempts do not fit into --renew-deadline ${text(renew)}`,
    `set it to ${text(leastAttempts * 2 * shortestCallMs)} or more`,
  );
  must(
    neededMs <= marginMs,
    `the margin of ${text(marginMs)} is too small: withdrawing takes ${text(withdrawMs)}, timers are up to ` +
      `${text(timerErrorMs)} late, and clocks drift by ${text(driftMs)} in ${text(lease)}`,
    neededMs <= 500
      ? `set --lease-duration to ${text(Math.ceil(neededMs / 100) * 1000)} or more`
      : 'this machine is too slow to withdraw in time: give it processor time',
  );
  must(
    retry + renew + marginMs + withdrawMs <= lease,
    `--retry-period + --renew-deadline + the margin of ${text(marginMs)} + ${text(withdrawMs)} to withdraw are ` +
      `longer than --lease-duration ${text(lease)}`,
    `a renewal begins --retry-period after the last one and must end before the Lease does: set --lease-duration ` +
      `to ${text(Math.ceil((retry + renew + marginMs + withdrawMs) / 100) * 100 + 100)} or more, or --renew-deadline lower`,
  );
  if (mistakes.length > 0) return err(mistakes);
  // Nothing else of whatever was given: it goes to another thread.
  return ok({
    leaseDurationMs: lease,
    renewDeadlineMs: renew,
    retryPeriodMs: retry,
    withdrawMs,
    timerErrorMs,
    driftRate,
    marginMs,
    graceMs: driftMs + 10,
    callMs: Math.min(Math.max(Math.floor(renew / leastAttempts), 250), 1000),
  });
}

/** Until when a renewal allows its holder to act: counted from before it was sent, never from its answer. */
export const deadlineOf = ({ leaseDurationMs, marginMs }: Timing, sentAtMs: number): number =>
  sentAtMs + leaseDurationMs - marginMs;

/** When to stop trying: a withdrawal must still be over by the deadline. */
export const giveUpAt = (timing: Timing, cycleAtMs: number, deadlineMs: number): number =>
  Math.min(cycleAtMs + timing.renewDeadlineMs, deadlineMs - timing.withdrawMs);
