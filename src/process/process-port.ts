/**
 * What the executor asks of the process layer. The real one spawns (`createProcessLayer`), the one
 * in test/kit is steered by a test; both keep this contract.
 */
import type { Exit } from '../error/readiness-error.ts';
import type { Unit } from '../unit/schema.ts';

export interface LaunchRequest {
  readonly unit: Unit;
  readonly generation: number;
  /** Added to the unit's own environment: NOTIFY_SOCKET, WATCHDOG_USEC… */
  readonly extraEnv: Readonly<Record<string, string>>;
}

/** A step of the stop ladder: `signal` was sent to `remaining`. */
export type StopStep = (signal: string, remaining: readonly number[]) => void;

/** A spawned process of one generation. Its run record is on disk before this object exists. */
export interface RunningProcess {
  readonly pid: number;
  /** The process started by us has ended. Settles once, never rejects. */
  readonly exited: Promise<Exit>;
  /**
   * Signal → deadline → KILL → verify empty, within the unit's stop scope. Also to be called after
   * `exited`, to clear what the process left behind. Aborting `hurry` goes to KILL at once.
   *
   * @returns pids that are still alive after KILL: empty when the scope is verified empty
   */
  stop(options: { readonly hurry?: AbortSignal; readonly onStep?: StopStep }): Promise<readonly number[]>;
}

export interface LogSource {
  /** Calls `listener` for each new complete line; the file is only read while somebody listens. */
  follow(listener: (line: string) => void): Disposable;
  /** The last complete lines written by this unit, oldest first, of the present generation. */
  last(count: number): readonly string[];
}

export interface ProcessPort {
  /**
   * Spawns the unit's `run` with its flags.
   *
   * @throws a plain Error whose `code` is the errno name (ENOENT, EACCES…) if it cannot be spawned
   */
  launch(request: LaunchRequest): RunningProcess;
  /**
   * Runs a short program of the unit (its `undo`, an exec probe) to its end, output appended to the unit's log.
   *
   * @throws the signal's reason when it aborts (the program's group is killed), or a spawn error as above
   */
  runToEnd(options: {
    readonly unit: Unit;
    readonly argv: readonly string[];
    readonly signal: AbortSignal;
  }): Promise<{ readonly exit: Exit; readonly output: string }>;
  log(unit: string): LogSource;
  /** Appends a line of ours (a builtin's output) to the unit's log. Never throws. */
  append(unit: string, line: string): void;
}
