/** Readiness errors for what the executor itself sees: exits, spawn errors, time limits. */
import {
  describeExit,
  ReadinessError,
  type Exit,
  type ReadinessDetail,
  type ReadinessPhase,
} from '../error/readiness-error.ts';
import { explainFailure, tellingExcerpt, tellingLine } from '../probe/hints.ts';
import type { LogSource } from '../process/process-port.ts';
import { whoHoldsPort } from '../probe/proc-sockets.ts';
import { messageOf } from '../kernel/message-of.ts';

export interface FailureFacts {
  readonly component: string;
  readonly generation: number;
  readonly phase: ReadinessPhase;
  readonly elapsedMs: number;
  readonly lastLogLines: readonly string[];
  readonly hint?: string | undefined;
}

/** Output lines carried by an error. Source: design contract 4. */
const logLinesKept = 20;
/** Output lines among which the one that says why is looked for: a usage text has some hundred. */
const logLinesSearched = 500;

/** Characters of a line that an error carries: thousands of errors may be kept, and a line may have 64 KiB. */
const lineLengthKept = 2_000;

const killedFromOutside =
  'it was killed from outside: by a person or a program, or by the kernel when the machine was out of memory (see `dmesg`)';

/** The end of a unit's output, for an error. */
export function lastOutput(log: Pick<LogSource, 'last' | 'missing'>): readonly string[] {
  const missing = log.missing?.();
  const said = tellingExcerpt(log.last(logLinesSearched), logLinesKept);
  const lines = missing === undefined ? said : [...said.slice(1 - logLinesKept), missing];
  return lines.map((line) => (line.length > lineLengthKept ? `${line.slice(0, lineLengthKept)}…` : line));
}

function detailOf(facts: FailureFacts, check: string, reason: string): ReadinessDetail {
  const { hint, ...rest } = facts;
  return { ...rest, check, reason, attempts: [], attemptCount: 0, ...(hint === undefined ? {} : { hint }) };
}

/** Says how the process ended and, from its last output, why and what mends it. */
export function exitError(facts: FailureFacts, exit: Exit): ReadinessError {
  if (exit.kind !== 'code' && exit.outOfMemory !== undefined) {
    const hint = facts.hint ?? 'raise `limits.memory` of the unit, or find out what needs the memory';
    return new ReadinessError('ERR_EXITED', { ...detailOf({ ...facts, hint }, 'process', describeExit(exit)), exit });
  }
  if (exit.kind === 'signal' && exit.signal === 'SIGKILL') {
    // It cannot have said why: its last line of trouble is of something else.
    const hint = facts.hint ?? killedFromOutside;
    return new ReadinessError('ERR_EXITED', { ...detailOf({ ...facts, hint }, 'process', describeExit(exit)), exit });
  }
  const context = { holderOf: whoHoldsPort };
  const line = tellingLine(facts.lastLogLines, context);
  const reason = line === undefined ? describeExit(exit) : `${describeExit(exit)}: ${line}`;
  const hint = facts.hint ?? explainFailure(facts.lastLogLines, context);
  return new ReadinessError('ERR_EXITED', { ...detailOf({ ...facts, hint }, 'process', reason), exit });
}

/** Without output: what is in the log is of an earlier generation. */
export function spawnError(facts: FailureFacts, cause: unknown): ReadinessError {
  const message = messageOf(cause);
  return new ReadinessError('ERR_SPAWN', detailOf({ ...facts, lastLogLines: [] }, 'spawn', message), { cause });
}

/** A task or builtin that did not end in time, or a builtin that threw. */
export function startError(facts: FailureFacts, check: string, reason: string, cause?: unknown): ReadinessError {
  return new ReadinessError(
    'ERR_NOT_READY',
    detailOf(facts, check, reason),
    cause === undefined ? undefined : { cause },
  );
}

/** A stop that did not end everything, or could not find out whether it did. */
export function leftoverError(facts: FailureFacts, pids: readonly number[], problem?: string): ReadinessError {
  const reason =
    problem === undefined
      ? `processes survived SIGKILL: ${pids.map((pid) => `pid ${String(pid)}`).join(', ')}`
      : `it is not known whether all has ended: ${problem}`;
  return new ReadinessError('ERR_STOP_INCOMPLETE', detailOf(facts, 'stop', reason));
}
