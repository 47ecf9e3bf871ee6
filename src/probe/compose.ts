/** all and any: several checks as one, made at the same time, their hints merged. */
import { linkedAbort } from '../kernel/abort.ts';
import { outcomeOf } from './outcome.ts';
import { ProbeFailure, type Probe, type ProbePace } from './probe.ts';

export function allOf(probes: readonly Probe[]): Probe {
  return compose('all', probes, async (signal) => {
    const results = await Promise.allSettled(probes.map((probe) => probe.check(signal)));
    signal.throwIfAborted();
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
    if (failures.length > 0) throw summary('all', probes, results, failures, failures.some(isFinal));
  });
}

export function anyOf(probes: readonly Probe[]): Probe {
  return compose('any', probes, async (outer) => {
    // The first that passes ends the others: an exec check may still run.
    const rest = linkedAbort(outer);
    const checks = probes.map((probe) => probe.check(rest.signal));
    try {
      await Promise.any(checks);
    } catch {
      outer.throwIfAborted();
      const results = await Promise.allSettled(checks);
      const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
      throw summary('any', probes, results, failures, failures.every(isFinal));
    } finally {
      rest.abort(new Error('another check of `any` has passed'));
    }
  });
}

function compose(word: 'all' | 'any', probes: readonly Probe[], check: Probe['check']): Probe {
  return {
    describe: () => `${word}(${probes.map((probe) => probe.describe()).join(', ')})`,
    ...paceOfAll(probes),
    check,
    onHint(wake) {
      const hints = probes.map((probe) => probe.onHint?.(wake));
      return {
        [Symbol.dispose]: () => {
          for (const hint of hints) hint?.[Symbol.dispose]();
        },
      };
    },
  };
}

/** The dearest of the timed checks sets the rhythm; checks that events drive do not need one. */
function paceOfAll(probes: readonly Probe[]): { pace?: ProbePace } {
  const timed = probes.map(({ pace }) => pace).filter((pace) => pace?.kind !== 'event');
  if (timed.length === 0) return { pace: { kind: 'event' } };
  const eager = timed.filter((pace) => pace !== undefined);
  if (eager.length < timed.length) return {};
  return {
    pace: {
      kind: 'eager',
      capMs: Math.max(...eager.map(({ capMs }) => capMs)),
      forMs: Math.min(...eager.map(({ forMs }) => forMs)),
      restRatio: Math.max(...eager.map(({ restRatio = 1 }) => restRatio)),
      lateShare: Math.max(...eager.map(({ lateShare = 0 }) => lateShare)),
    },
  };
}

/** "all(notify ✓, tcp 127.0.0.1:2379 ✗ ECONNREFUSED)" */
function summary(
  word: 'all' | 'any',
  probes: readonly Probe[],
  results: readonly PromiseSettledResult<void>[],
  failures: readonly unknown[],
  final: boolean,
): ProbeFailure {
  const parts = probes.map((probe, index) => {
    const result = results[index];
    return result?.status === 'rejected'
      ? `${probe.describe()} ✗ ${outcomeOf(result.reason)}`
      : `${probe.describe()} ✓`;
  });
  const hints = failures.map((failure) => (failure instanceof ProbeFailure ? failure.hint : undefined));
  return new ProbeFailure(`${word}(${parts.join(', ')})`, {
    retry: !final,
    hint: hints.find((hint) => hint !== undefined),
    isWatched: failures.every((failure) => failure instanceof ProbeFailure && failure.isWatched),
    cause: failures.length === 1 ? failures[0] : new AggregateError(failures),
  });
}

const isFinal = (failure: unknown) => failure instanceof ProbeFailure && !failure.retry;
