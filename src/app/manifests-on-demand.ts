/**
 * Starts the applier of manifests when there is something for it to do. Most clusters have no file in
 * `<data-dir>/server/manifests`, and a Node.js process that waits for one costs 60 MB, and a start the
 * processor time that it is short of. Until then the folder is watched here (inotify), for nothing.
 *
 * Once started it stays: it watches by itself, and what files have made that are gone is to be deleted.
 */
import { readdirSync, readFileSync, watch } from 'node:fs';
import type { Executor } from '../executor/executor-api.ts';
import type { UnitGraph } from '../graph/unit-graph.ts';
import { makeFolderWithParents } from '../kernel/make-folders.ts';
import { messageOf } from '../kernel/message-of.ts';

/** The shipped unit. */
const applier = 'manifests';

export interface ManifestPlace {
  readonly manifests: string;
  /** What files have made; there may be objects to delete. */
  readonly manifestsRecord: string;
}

/** Which unit has nothing to do now: the applier, unless somebody else's unit has its name. */
export function restsWithout(place: ManifestPlace, graph: UnitGraph): (unit: string) => boolean {
  const isOurs = graph.has(applier) && graph.unit(applier).run.join(' ') === `k3s-lite internal ${applier}`;
  return (unit) => isOurs && unit === applier && hasMadeNothing(place.manifestsRecord) && isEmpty(place.manifests);
}

export interface ManifestsOnDemandOptions {
  readonly place: ManifestPlace;
  readonly executor: Pick<Executor, 'graph' | 'unit' | 'startUnits'>;
  readonly notice: (text: string) => void;
}

/** Starts the applier at the first file that comes while it is inactive; one that somebody has stopped is left alone. */
export function manifestsOnDemand({ place, executor, notice }: ManifestsOnDemandOptions): Disposable {
  const none: Disposable = { [Symbol.dispose]: () => undefined };
  if (!executor.graph.has(applier)) return none;
  const look = () => {
    if (isEmpty(place.manifests) || !executor.graph.has(applier)) return;
    if (executor.unit(applier).current.state !== 'inactive') return;
    try {
      executor.startUnits([applier]);
    } catch {
      // Everything is being stopped.
    }
  };
  try {
    makeFolderWithParents(place.manifests);
    const watcher = watch(place.manifests, { persistent: false }, look);
    watcher.on('error', () => watcher.close());
    // What came between the first look and now.
    look();
    return { [Symbol.dispose]: () => watcher.close() };
  } catch (error) {
    const reason = messageOf(error);
    notice(`${place.manifests} cannot be watched (${reason}): after a first file, \`k3s-lite start ${applier}\``);
    return none;
  }
}

/** A record of nothing is written when the last object has been deleted. */
function hasMadeNothing(record: string): boolean {
  try {
    return readFileSync(record, 'utf8').trim() === '{}';
  } catch {
    return true; // Not made yet.
  }
}

function isEmpty(folder: string): boolean {
  try {
    return readdirSync(folder).length === 0;
  } catch {
    return true; // Not made yet.
  }
}
