/** Builds the one error that a check ends in, at the start or later. */
import {
  describeExit,
  ReadinessError,
  type AttemptLog,
  type Exit,
  type ReadinessDetail,
  type ReadinessPhase,
} from '../error/readiness-error.ts';
import { formatDurationMs } from '../kernel/duration.ts';
import { explainFailure, tellingLine, type FailureContext } from './hints.ts';
import { outcomeOf } from './outcome.ts';
import { ProbeFailure, type Probe } from './probe.ts';

/** Whose check it was, and where more can be learned. */
export interface FailureSubject {
  readonly probe: Probe;
  readonly component: string;
  readonly generation: number;
  readonly phase?: ReadinessPhase;
  readonly lastLogLines?: () => readonly string[];
  readonly holderOf?: FailureContext['holderOf'];
}

export interface FailureFacts {
  readonly attempts: AttemptLog;
  readonly elapsedMs: number;
  /** Set when the process ended: then that is the reason, and the code is ERR_EXITED. */
  readonly exit?: Exit | undefined;
  readonly lastFailure: unknown;
}

export function readinessFailure(subject: FailureSubject, facts: FailureFacts): ReadinessError {
  const { probe, component, generation, phase = 'ready' } = subject;
  const { attempts, elapsedMs, exit, lastFailure } = facts;
  const lastLogLines = subject.lastLogLines?.() ?? [];
  const context: FailureContext = subject.holderOf === undefined ? {} : { holderOf: subject.holderOf };
  // What the last attempt found is no longer true of a process that has ended.
  const ownHint = exit === undefined && lastFailure instanceof ProbeFailure ? lastFailure.hint : undefined;
  const hint = ownHint ?? explainFailure(lastLogLines, context);
  const detail: Omit<ReadinessDetail, 'reason'> = {
    component,
    generation,
    check: probe.describe(),
    phase,
    attempts: attempts.kept,
    attemptCount: attempts.count,
    elapsedMs,
    lastLogLines,
    ...(hint === undefined ? {} : { hint }),
  };
  if (exit !== undefined) {
    return new ReadinessError('ERR_EXITED', { ...detail, reason: exitReason(exit, lastLogLines, context), exit });
  }
  const reason = lastFailure === undefined ? `no answer within ${formatDurationMs(elapsedMs)}` : outcomeOf(lastFailure);
  const options = lastFailure === undefined ? undefined : { cause: lastFailure };
  return new ReadinessError('ERR_NOT_READY', { ...detail, reason }, options);
}

/** "exited with code 1: bind: address already in use (2379 is held by pid 812 etcd)" */
export function exitReason(exit: Exit, lastLogLines: readonly string[], context: FailureContext = {}): string {
  const said = tellingLine(lastLogLines, context);
  return said === undefined ? describeExit(exit) : `${describeExit(exit)}: ${said}`;
}
