/**
 * What the executor asks of the process layer. The real one spawns (`createProcessLayer`), the one
 * in test/kit is steered by a test; both keep this contract.
 */
import type { Exit } from '../error/readiness-error.ts';
import type { Unit } from '../unit/schema.ts';
import type { RunRecord } from './run-record.ts';

export interface LaunchRequest {
  readonly unit: Unit;
  readonly generation: number;
  /** Added to the unit's own environment: NOTIFY_SOCKET, WATCHDOG_USEC… */
  readonly extraEnv: Readonly<Record<string, string>>;
}

/** A run of an earlier k3s-lite that is to be gone on with. */
export interface AdoptRequest {
  readonly unit: Unit;
  readonly record: RunRecord;
}

/** A step of the stop ladder: `signal` was sent to `remaining`. */
export type StopStep = (signal: string, remaining: readonly number[]) => void;

/** A spawned or adopted process of one generation. Its run record is on disk before this object exists. */
export interface RunningProcess {
  readonly pid: number;
  /** The main process has ended. Settles once, never rejects; the exit of an adopted one is `unknown`. */
  readonly exited: Promise<Exit>;
  /**
   * Writes down that it has become ready, for a k3s-lite that adopts it: what was heard once (`notify`,
   * a log line) is not said again. Never throws.
   */
  becameReady(said: { readonly mainPid?: number | undefined }): void;
  /** Something suggests that it has ended (a check failed): looks at once where no event would tell. */
  suspect(): void;
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
  /** Why the newest lines may be missing, as a line: there is no room for them. */
  missing?(): string | undefined;
}

export interface ProcessPort {
  /**
   * Spawns the unit's `run` with its flags.
   *
   * @throws a plain Error whose `code` is the errno name (ENOENT, EACCES…) if it cannot be spawned
   */
  launch(request: LaunchRequest): RunningProcess;
  /**
   * Goes on with a run that an earlier k3s-lite started: its log, its cgroup, its record, its end. It
   * is stopped as its record says. Its process may have ended meanwhile: then `exited` tells.
   */
  adopt(request: AdoptRequest): RunningProcess;
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
