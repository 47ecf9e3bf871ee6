import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nextTryAt } from '../../../src/vip/coordination/retry-budget.ts';
import {
  checkTiming,
  deadlineOf,
  defaultTimes,
  giveUpAt,
  supposedFacts,
  type LeaseTimes,
} from '../../../src/vip/coordination/timing.ts';

const times = (lease: number, renew: number, retry: number): LeaseTimes => ({
  leaseDurationMs: lease,
  renewDeadlineMs: renew,
  retryPeriodMs: retry,
});

describe('[V11] the times of an election', () => {
  test.each([
    ['the default', defaultTimes],
    ['kube-vip’s, from its command line', times(15_000, 10_000, 2000)],
    ['kube-vip’s, from its documentation', times(5000, 3000, 1000)],
    ['Cilium’s', times(15_000, 5000, 2000)],
    ['of a fast failover', times(3000, 1500, 1000)],
    ['of a very fast one', times(1200, 700, 250)],
  ])('are taken: %s', (_name, set) => {
    const checked = checkTiming(set, { ...supposedFacts, withdrawMs: 30 });
    expect(checked).toMatchObject({ ok: true });
  });

  test.each([
    [times(3000, 3000, 500), '--lease-duration 3.0 s is not longer than --renew-deadline 3.0 s'],
    [times(5000, 1000, 900), '--renew-deadline 1.0 s is not longer than 1.2 × --retry-period 0.90 s'],
    [times(5000, 500, 100), '3 attempts do not fit into --renew-deadline 0.50 s'],
    [times(5000, 4000, 1000), 'are longer than --lease-duration 5.0 s'],
    [times(0, 10, 1), '--lease-duration is 0 ms'],
    [times(3000.5, 1000, 500), '--lease-duration is 3000.5 ms'],
    [times(15_000, Number.NaN, 500), '--renew-deadline is NaN ms'],
  ])('%j are refused: %s', (set, reason) => {
    const checked = checkTiming(set);
    expect(checked.ok).toBe(false);
    if (checked.ok) return;
    expect(checked.error.map((each) => each.reason).join('\n')).toContain(reason);
    expect(checked.error.every(({ remedy }) => remedy.length > 10)).toBe(true);
  });

  test('are compared with how long this machine takes to withdraw', () => {
    const slow = checkTiming(times(3000, 1500, 1000), { ...supposedFacts, withdrawMs: 280 });
    expect(slow).toMatchObject({ ok: false });
    if (!slow.ok)
      expect(slow.error[0]?.reason).toContain('the margin of 0.30 s is too small: withdrawing takes 0.28 s');
    expect(checkTiming(times(5000, 3000, 1000), { ...supposedFacts, withdrawMs: 280 })).toMatchObject({ ok: true });
  });

  test('that are taken leave a holder silent before anybody may take over, at any drift that is allowed for', () => {
    fc.assert(
      fc.property(
        fc.record({
          leaseDurationMs: fc.integer({ min: 200, max: 60_000 }),
          renewDeadlineMs: fc.integer({ min: 100, max: 40_000 }),
          retryPeriodMs: fc.integer({ min: 50, max: 10_000 }),
        }),
        fc.double({ min: -0.001, max: 0.001, noNaN: true }),
        (set, drift) => {
          const checked = checkTiming(set);
          fc.pre(checked.ok);
          const { value } = checked;
          // The holder's clock is slow by `drift`: its deadline in the time of the one who waits.
          const silentAtMs = (deadlineOf(value, 0) + value.timerErrorMs) * (1 + drift) ** 2;
          expect(silentAtMs).toBeLessThan(value.leaseDurationMs + value.graceMs);
          expect(giveUpAt(value, value.retryPeriodMs, deadlineOf(value, 0))).toBe(
            value.retryPeriodMs + value.renewDeadlineMs,
          );
        },
      ),
    );
  });
});

describe('[V8] the budget of retries', () => {
  const question = { nowMs: 1000, giveUpAtMs: 5000, callMs: 500 };

  test('doubles the pause from 50 ms up to 800 ms, with full jitter', () => {
    const pauses = [1, 2, 3, 4, 5, 6].map((attempts) => nextTryAt({ ...question, attempts, random: () => 1 }));
    expect(pauses).toEqual([1050, 1100, 1200, 1400, 1800, 1800]);
    expect(nextTryAt({ ...question, attempts: 5, random: () => 0 })).toBe(1000);
  });

  test('keeps to what the server wishes, but not beyond the last chance', () => {
    expect(nextTryAt({ ...question, attempts: 1, retryAfterMs: 1000, random: () => 0 })).toBe(2000);
    expect(nextTryAt({ ...question, attempts: 1, retryAfterMs: 60_000, random: () => 0 })).toBe(4900);
  });

  test('ends when no call fits any more', () => {
    expect(nextTryAt({ ...question, nowMs: 4900, attempts: 3, random: () => 0 })).toBeUndefined();
    expect(nextTryAt({ ...question, nowMs: 6000, attempts: 3, random: () => 0 })).toBeUndefined();
  });
});
