/** Why a unit is not ready: the structured error of design contract 4. */
import { formatBytes } from '../kernel/bytes.ts';
import { formatDurationMs } from '../kernel/duration.ts';
import type { ErrorCode } from './codes.ts';
import { StartupError } from './startup-error.ts';

/** One run of a check. */
export interface Attempt {
  /** Wall-clock milliseconds since the Unix epoch. */
  readonly at: number;
  /** How long the attempt took, in milliseconds. */
  readonly ms: number;
  /** "ok", or one line that says what failed: "500 [-]etcd failed", "ECONNREFUSED". */
  readonly outcome: string;
}

/** The kernel killed for the memory limit of a unit. */
interface OutOfMemory {
  readonly limitBytes?: number | undefined;
}

/** How a process ended. An adopted process is not our child: its exit is honestly unknown. */
export type Exit =
  | { readonly kind: 'code'; readonly code: number }
  /** `outOfMemory`: that was the kernel. */
  | { readonly kind: 'signal'; readonly signal: string; readonly outOfMemory?: OutOfMemory }
  /** `outOfMemory`: before it ended the kernel killed it or a child of it. */
  | { readonly kind: 'unknown'; readonly outOfMemory?: OutOfMemory };

export type ReadinessPhase = 'spawn' | 'startup' | 'ready' | 'health' | 'stop';

export interface ReadinessDetail {
  /** Name of the unit. */
  readonly component: string;
  readonly generation: number;
  /** What was checked: "https /readyz", "notify", "exec pg_isready", "process", "gate". */
  readonly check: string;
  readonly phase: ReadinessPhase;
  /** One line: why the check did not pass. */
  readonly reason: string;
  /** The first 5 and the last 20 attempts; `attemptCount` counts all. */
  readonly attempts: readonly Attempt[];
  readonly attemptCount: number;
  readonly elapsedMs: number;
  readonly exit?: Exit;
  /** The last lines the process wrote, oldest first. */
  readonly lastLogLines: readonly string[];
  /** What to do about it, when something better than the code's general remedy is known. */
  readonly hint?: string;
}

type ReadinessCode = Extract<
  ErrorCode,
  'ERR_NOT_READY' | 'ERR_BLOCKED' | 'ERR_STOPPED' | 'ERR_SPAWN' | 'ERR_EXITED' | 'ERR_STOP_INCOMPLETE'
>;

/** A unit did not become (or stay) ready. `cause` is the failure below it, down to the root. */
export class ReadinessError extends StartupError<ReadinessDetail> {
  override readonly name = 'ReadinessError';

  constructor(code: ReadinessCode, detail: ReadinessDetail, options?: ErrorOptions) {
    super(code, readinessMessage(code, detail), detail, options);
  }
}

function readinessMessage(code: ReadinessCode, detail: ReadinessDetail): string {
  const { component, check, reason, attemptCount, elapsedMs } = detail;
  const effort =
    attemptCount > 0
      ? ` (${String(attemptCount)} attempt${attemptCount === 1 ? '' : 's'}, ${formatDurationMs(elapsedMs)})`
      : '';
  switch (code) {
    case 'ERR_BLOCKED':
      return `cannot start ${component}: blocked by ${reason}`;
    case 'ERR_STOPPED':
      return `${component} was stopped: ${reason}`;
    case 'ERR_EXITED':
      return `${component} ${reason}`;
    case 'ERR_STOP_INCOMPLETE':
      return `cannot stop ${component}: ${reason}`;
    case 'ERR_SPAWN':
    case 'ERR_NOT_READY':
      return `${detail.phase === 'health' ? 'lost' : 'cannot start'} ${component}: ${check}: ${reason}${effort}`;
  }
}

/** "exited with code 1", "was ended by SIGKILL". */
export function describeExit(exit: Exit): string {
  switch (exit.kind) {
    case 'code':
      return `exited with code ${String(exit.code)}`;
    case 'signal':
      return exit.outOfMemory === undefined
        ? `was ended by ${exit.signal}`
        : `was killed by the kernel: ${describeOutOfMemory(exit.outOfMemory)}`;
    case 'unknown':
      return exit.outOfMemory === undefined
        ? 'ended, its exit code is unknown'
        : `ended when the kernel had killed a process of it: ${describeOutOfMemory(exit.outOfMemory)}`;
  }
}

const describeOutOfMemory = ({ limitBytes = 0 }: OutOfMemory) => `out of memory, limit ${formatBytes(limitBytes)}`;

const firstKept = 5;
const lastKept = 20;

/** Collects attempts, keeping the first 5, the last 20 and the count (design contract 4). */
export class AttemptLog {
  readonly #first: Attempt[] = [];
  readonly #last: Attempt[] = [];
  #count = 0;

  add(attempt: Attempt): void {
    this.#count += 1;
    if (this.#first.length < firstKept) {
      this.#first.push(attempt);
      return;
    }
    this.#last.push(attempt);
    if (this.#last.length > lastKept) this.#last.shift();
  }

  get count(): number {
    return this.#count;
  }

  get kept(): readonly Attempt[] {
    return [...this.#first, ...this.#last];
  }
}
