/** Takes the data directory for this k3s-lite, and ends what an earlier one left running in it. */
import { rmdirSync } from 'node:fs';
import path from 'node:path';
import type { EventStream } from '../event/stream.ts';
import type { UnitGraph } from '../graph/unit-graph.ts';
import type { Clock } from '../kernel/clock.ts';
import { endLeftovers } from '../process/leftover.ts';
import { lockDataDirectory } from '../process/lock.ts';
import type { Paths } from './paths.ts';

export interface ClaimOptions {
  readonly paths: Paths;
  readonly graph: UnitGraph;
  readonly clock: Clock;
  readonly events: EventStream;
}

/**
 * Disposing gives the directory back, after the run-time folders that are empty by then are removed.
 *
 * @throws StartupError ERR_LOCKED while another k3s-lite holds it
 */
export async function claimDataDirectory({ paths, graph, clock, events }: ClaimOptions): Promise<Disposable> {
  const lock = lockDataDirectory({
    dataDir: paths.dataDir,
    contact: paths.controlSocket,
    wallMs: clock.wallMs(),
  });
  await endLeftovers({
    recordDir: path.join(paths.runDir, 'runs'),
    marker: path.basename(paths.runDir),
    clock,
    // Dependents stop first: the levels of the start, backwards.
    order: [...graph.levels].reverse(),
    onFound: ({ unit, pids }) => events.emit({ type: 'leftover.found', unit, pids }),
    notice: (text, unit) =>
      events.emit({ type: 'notice', level: 'warning', text, ...(unit === undefined ? {} : { unit }) }),
  });
  return {
    [Symbol.dispose]() {
      // While we still hold it: nobody else can be using them.
      for (const name of ['notify', 'runs', '']) removeIfEmpty(path.join(paths.runDir, name));
      lock[Symbol.dispose]();
    },
  };
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Not empty: what is in it has a reason to be there. Or already gone.
  }
}
