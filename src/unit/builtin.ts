/** A builtin: a short, idempotent function of ours that a unit of `kind: builtin` runs. */
import type { Exit } from '../error/readiness-error.ts';
import type { Unit } from './schema.ts';
import type { UnitSnapshot } from './state.ts';

export interface BuiltinContext {
  readonly unit: Unit;
  readonly generation: number;
  /** `run` without the builtin's name, variables expanded. */
  readonly args: readonly string[];
  /** Present snapshot of another unit: node-ready asks when the kubelet was started. */
  snapshotOf(unit: string): UnitSnapshot;
  /** Runs a program to its end; its output goes to the unit's log too. Rejects only if it cannot be spawned or `signal` aborts. */
  run(argv: readonly string[]): Promise<{ readonly exit: Exit; readonly output: string }>;
  /** One line for the unit's log (and its last output lines). Never a secret. */
  log(line: string): void;
  readonly signal: AbortSignal;
}

/** Resolves when done; throwing fails the unit with the error as `cause`. */
export type Builtin = (context: BuiltinContext) => Promise<void>;
export type Builtins = ReadonlyMap<string, Builtin>;
