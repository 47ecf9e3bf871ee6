/**
 * Health after readiness: asks a probe at a steady, jittered pace and tells only changes.
 *
 * Not here: what unhealthy leads to (the unit machine decides). Nothing runs when no health is set,
 * because then nobody calls this.
 */
import { AttemptLog, type Attempt, type ReadinessError } from '../error/readiness-error.ts';
import { linkedAbort } from '../kernel/abort.ts';
import { jitteredMs } from '../kernel/backoff.ts';
import type { Clock } from '../kernel/clock.ts';
import type { FailureContext } from './hints.ts';
import { outcomeOf } from './outcome.ts';
import type { Probe } from './probe.ts';
import { readinessFailure } from './readiness-failure.ts';
import { checkWithin } from './until-ready.ts';

/** A change of health, dated by the generation it was found in. */
export type HealthChange =
  | { readonly healthy: true; readonly generation: number }
  | { readonly healthy: false; readonly generation: number; readonly error: ReadinessError };

export interface WatchHealthOptions {
  readonly probe: Probe;
  readonly component: string;
  readonly generation: number;
  readonly clock: Clock;
  /** Returns [0, 1): jitter. */
  readonly random: () => number;
  /** Time between the end of a check and the next, ± 10 % (default 5000 ms). */
  readonly everyMs?: number | undefined;
  /** How long one check may take (default 2000 ms). */
  readonly timeoutMs?: number | undefined;
  /** Failures in a row that make it unhealthy (default 3). */
  readonly failures?: number | undefined;
  /** Passes in a row that make it healthy again (default 1). */
  readonly successes?: number | undefined;
  readonly onChange: (change: HealthChange) => void;
  readonly onAttempt?: (attempt: Attempt, count: number) => void;
  readonly lastLogLines?: () => readonly string[];
  readonly holderOf?: FailureContext['holderOf'];
}

/** Thresholds as Kubernetes' probes have them; the time between checks is half of theirs (its default is 10 s). */
const defaults = { everyMs: 5_000, timeoutMs: 2_000, failures: 3, successes: 1 };
const jitter = 0.1;

/** Begins to watch; the first check is made after one interval. Disposing ends it, also in the middle of a check. */
export function watchHealth(options: WatchHealthOptions): Disposable {
  const { probe, clock, random, generation, onChange } = options;
  const everyMs = options.everyMs ?? defaults.everyMs;
  const timeoutMs = options.timeoutMs ?? defaults.timeoutMs;
  const failureLimit = options.failures ?? defaults.failures;
  const successLimit = options.successes ?? defaults.successes;
  const end = linkedAbort();
  const { signal } = end;
  let healthy = true;
  /** Results in a row that speak against the present state. */
  let against = 0;
  let count = 0;
  /** Attempts since it was last sound: what the error tells. */
  let attempts = new AttemptLog();
  let troubleSinceMs = 0;
  let next: Disposable | undefined;

  const schedule = (delayMs: number) => {
    next = clock.timer(delayMs, () => void check());
  };

  const check = async () => {
    next = undefined;
    const beganMs = clock.monotonicMs();
    let failure: unknown;
    let passed = true;
    try {
      await checkWithin(probe, clock, timeoutMs, signal);
    } catch (caught) {
      if (signal.aborted) return;
      passed = false;
      failure = caught;
    }
    if (signal.aborted) return;
    const ms = clock.monotonicMs() - beganMs;
    const attempt = { at: clock.wallMs() - ms, ms, outcome: passed ? 'ok' : outcomeOf(failure) };
    count += 1;
    options.onAttempt?.(attempt, count);
    judge(passed, attempt, beganMs, failure);
    // `onChange` may have ended the watch, which the compiler does not see.
    if (!(signal.aborted as boolean)) schedule(jitteredMs(everyMs, jitter, random));
  };

  const judge = (passed: boolean, attempt: Attempt, beganMs: number, failure: unknown) => {
    if (healthy && passed) {
      against = 0;
      attempts = new AttemptLog();
      return;
    }
    if (healthy && attempts.count === 0) troubleSinceMs = beganMs;
    attempts.add(attempt);
    against = passed === healthy ? 0 : against + 1;
    if (against < (healthy ? failureLimit : successLimit)) return;
    against = 0;
    healthy = !healthy;
    if (healthy) {
      attempts = new AttemptLog();
      onChange({ healthy: true, generation });
      return;
    }
    const elapsedMs = clock.monotonicMs() - troubleSinceMs;
    const error = readinessFailure({ ...options, phase: 'health' }, { attempts, elapsedMs, lastFailure: failure });
    onChange({ healthy: false, generation, error });
  };

  // A hint is worth a look only while something is to be gained: to become healthy again soon.
  const hints = probe.onHint?.(() => {
    if (healthy || next === undefined) return;
    next[Symbol.dispose]();
    void check();
  });
  schedule(jitteredMs(everyMs, jitter, random));
  return {
    [Symbol.dispose]: () => {
      next?.[Symbol.dispose]();
      hints?.[Symbol.dispose]();
      end.abort(new Error('the health watch has ended'));
    },
  };
}
