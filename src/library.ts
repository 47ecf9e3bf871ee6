/** The two doors of the library: mistakes are thrown here, where rooms inside return them. */
import { createHash } from 'node:crypto';
import path from 'node:path';
import { createLocalExecutor, type LocalExecutor, type LocalExecutorOptions } from './executor/local-executor.ts';
import { buildGraph } from './graph/build-graph.ts';
import { diagnosticsError } from './unit/diagnostic.ts';
import { loadUnits as load, type LoadedUnits, type LoadOptions } from './unit/load-units.ts';

export interface LoadUnitsOptions extends Omit<LoadOptions, 'variables'> {
  /** What `${name}` in unit files stands for (default: nothing). */
  readonly variables?: LoadOptions['variables'];
}

/**
 * Reads and checks folders of unit files.
 *
 * @throws {@link StartupError} ERR_UNIT_FILE; `detail.diagnostics` has every mistake with file, line and column
 */
export async function loadUnits(options: LoadUnitsOptions): Promise<LoadedUnits> {
  const result = await load({ variables: {}, ...options });
  if (!result.ok) throw diagnosticsError('ERR_UNIT_FILE', result.error);
  return result.value;
}

export interface CreateExecutorOptions extends Omit<LocalExecutorOptions, 'graph' | 'instance'> {
  readonly units: LoadedUnits;
}

/**
 * An executor of real processes on this machine. Nothing is started before `start` is called.
 *
 * @throws {@link StartupError} ERR_GRAPH: a cycle, an edge to an unknown unit, two claims on one port or path
 */
export function createExecutor({ units, ...options }: CreateExecutorOptions): LocalExecutor {
  const graph = buildGraph(units);
  if (!graph.ok) throw diagnosticsError('ERR_GRAPH', graph.error);
  const instance = createHash('sha256').update(path.resolve(options.dataDir)).digest('hex').slice(0, 12);
  return createLocalExecutor({ ...options, graph: graph.value, instance });
}
