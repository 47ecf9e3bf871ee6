/** What the control server needs of the program that it speaks for. */
import type { Executor } from '../executor/executor-api.ts';
import type { GraphFormat } from '../graph/draw.ts';
import type { LogSource } from '../process/process-port.ts';
import type { InstanceFacts, WireUsage } from './protocol.ts';
import type { ReloadReport } from '../executor/reload.ts';

export interface ReloadOutcome extends ReloadReport {
  /** Changes that only the next `up` takes over, one line each. */
  readonly notes: readonly string[];
}

export interface ControlSource {
  readonly executor: Pick<
    Executor,
    'graph' | 'events' | 'snapshots' | 'isReady' | 'unit' | 'stopWaitsFor' | 'startUnits' | 'stopUnits' | 'restartUnits'
  >;
  facts(): InstanceFacts;
  /** Output of a unit that is in the graph; `last` over all its generations, or the crash before a restart would be hidden. */
  log(unit: string): LogSource;
  /** The graph with the present states. */
  drawGraph(format: GraphFormat): Promise<string>;
  /** What each running unit uses now. */
  usage(): ReadonlyMap<string, WireUsage>;
  /** The text of `/metrics`. */
  metrics(): Promise<string>;
  /** Loads files and configuration anew; changes nothing if one has a mistake, or with `dryRun`. Resolves when all is done. */
  reload(options: { readonly dryRun: boolean }): Promise<ReloadOutcome>;
  /** Writes the inner state to a file that only this user can read, and returns its path. */
  dump(): string;
  /** Begins to stop everything and returns at once; a second call may hurry. */
  down(options: { readonly hurry: boolean }): void;
}
