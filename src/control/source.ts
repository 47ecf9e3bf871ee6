/** What the control server needs of the program that it speaks for. */
import type { Executor } from '../executor/executor-api.ts';
import type { GraphFormat } from '../graph/draw.ts';
import type { LogSource } from '../process/process-port.ts';
import type { InstanceFacts, WireUsage } from './protocol.ts';

export interface ControlSource {
  readonly executor: Pick<Executor, 'graph' | 'events' | 'snapshots' | 'isReady' | 'unit'>;
  facts(): InstanceFacts;
  /** Output of a unit that is in the graph; `last` over all its generations, or the crash before a restart would be hidden. */
  log(unit: string): LogSource;
  /** The graph with the present states. */
  drawGraph(format: GraphFormat): Promise<string>;
  /** What each running unit uses now. */
  usage(): ReadonlyMap<string, WireUsage>;
  /** The text of `/metrics`. */
  metrics(): Promise<string>;
  /** Begins to stop everything and returns at once; a second call may hurry. */
  down(options: { readonly hurry: boolean }): void;
}
