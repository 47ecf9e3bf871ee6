/** What the parts of one run share: what it runs, whom it tells, and when to stop. */
import type { Attempt, Exit, ReadinessError, ReadinessPhase } from '../error/readiness-error.ts';
import type { StopStep } from '../process/process-port.ts';
import type { RunRecord } from '../process/run-record.ts';
import type { Unit } from '../unit/schema.ts';
import type { UnitSnapshot } from '../unit/state.ts';
import type { FailureFacts } from './failure.ts';
import type { ExecutorPorts } from './ports.ts';

/** What a run tells its runner. Nothing is told any more once `stop` was called. */
export interface RunReport {
  spawned(pid: number): void;
  adopted(record: RunRecord): void;
  passed(finished: boolean): void;
  failed(error: ReadinessError): void;
  exited(clean: boolean, error: ReadinessError): void;
  healthy(): void;
  unhealthy(error: ReadinessError, restart: boolean): void;
  status(text: string): void;
  warned(text: string): void;
  figures(figures: Readonly<Record<string, number>>): void;
  attempt(phase: 'ready' | 'health', check: string, attempt: Attempt, count: number): void;
  hint(source: string): void;
  processExited(pid: number, exit: Exit): void;
}

export interface RunOptions {
  readonly unit: Unit;
  readonly generation: number;
  readonly ports: ExecutorPorts;
  readonly report: RunReport;
  /** The run of an earlier k3s-lite that this one goes on with. */
  readonly adopted?: RunRecord;
  snapshotOf(unit: string): UnitSnapshot;
}

/** State shared by the parts of one run. */
export interface RunContext extends RunOptions {
  readonly startedMs: number;
  readonly signal: AbortSignal;
  readonly isStopped: () => boolean;
  facts(phase: ReadinessPhase): FailureFacts;
}

/** What a run consists of, by the kind of its unit. */
export interface RunPart {
  watch(): void;
  end(how: { readonly hurry?: AbortSignal; readonly onStep?: StopStep }): Promise<readonly number[]>;
}
