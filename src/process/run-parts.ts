/** What all runs of one process layer share. */
import type { Clock } from '../kernel/clock.ts';
import type { CgroupTree } from './cgroup.ts';
import type { LimitGroups } from './limit-groups.ts';
import type { LogWatch } from './log-watch.ts';
import type { ProcReader } from './proc-reader.ts';
import type { RunRecords } from './run-record.ts';
import type { UnitLog } from './unit-log.ts';
import type { UsageTarget } from './unit-usage.ts';

export interface RunParts {
  readonly clock: Clock;
  readonly proc: ProcReader;
  /** For looking through all processes. */
  readonly search: ProcReader;
  readonly records: RunRecords;
  readonly tree: CgroupTree | undefined;
  readonly limitGroups: LimitGroups | undefined;
  readonly logWatch: LogWatch;
  /** Identifies the data directory. */
  readonly marker: string;
  log(unit: string): UnitLog;
  /** Told once for each unit and text. */
  notice(text: string, unit: string): void;
  /** Work that has to end before the layer is disposed. */
  track(work: Promise<unknown>): void;
  /** From now on this is the unit's present run: what it uses is told. @returns what ends that, unless another run came since */
  nowRuns(unit: string, target: UsageTarget): () => void;
}
