/** Takes the data directory for this k3s-lite, and what an earlier one left running in it: adopted if it matches, else ended. */
import { rmdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { layoutOf } from '../cluster/layout.ts';
import { makePrivateFolder } from '../control/socket-file.ts';
import { StartupError } from '../error/startup-error.ts';
import { noticeTo } from '../event/notice.ts';
import type { EventStream } from '../event/stream.ts';
import type { UnitGraph } from '../graph/unit-graph.ts';
import type { Clock } from '../kernel/clock.ts';
import { makeFolderWithParents } from '../kernel/make-folders.ts';
import { planAdoption, type SameProgram } from '../executor/plan-adoption.ts';
import { endLeftovers, findLeftovers, type Leftover, type LeftoverOptions } from '../process/leftover.ts';
import { lockDataDirectory } from '../process/lock.ts';
import type { Notice, RunRecord } from '../process/run-record.ts';
import { type LastUp, removeLastUp, writeLastUp } from './last-up.ts';
import type { Paths } from './paths.ts';

export interface ClaimOptions {
  readonly paths: Paths;
  readonly graph: UnitGraph;
  /** Units that are to be up, in start order. */
  readonly wanted: readonly string[];
  readonly clock: Clock;
  readonly events: EventStream;
  /** Default: every unit would. */
  readonly isSameProgram?: SameProgram;
}

export interface Claim extends Disposable {
  /** Runs of an earlier k3s-lite that are to be gone on with, by unit. Nobody watches them before an executor does. */
  readonly adopted: ReadonlyMap<string, RunRecord>;
  /** Ends the adopted runs: nothing is to be started after all. */
  endAdopted(): Promise<void>;
  /** Writes down what is up, for a `down` after we were killed. */
  remember(lastUp: Omit<LastUp, 'version'>): void;
}

/** @throws StartupError ERR_CONFIG that names the folder that cannot be made or written */
export function makeFolders(...folders: readonly string[]): void {
  for (const folder of folders) writing(folder, () => makeFolderWithParents(folder));
}

/**
 * Disposing gives the directory back, after the run-time folders that are empty by then are removed.
 *
 * @throws StartupError ERR_LOCKED while another k3s-lite holds it; ERR_CONFIG when it cannot be written; ERR_CONTROL
 *   when other users could change its run-time folder
 */
export async function claimDataDirectory(options: ClaimOptions): Promise<Claim> {
  const { paths, graph, wanted, clock, events } = options;
  const entered = enterDataDirectory(paths, clock);
  const notice = noticeTo(events, 'warning');
  const place = runsPlace(paths, graph, notice);
  const found = findLeftovers(place);
  const plan = planAdoption(graph, wanted, found, options.isSameProgram);
  const end = async (leftovers: readonly Leftover[], reasonOf: (leftover: Leftover) => string) => {
    const survivors = await endLeftovers({
      ...place,
      leftovers,
      clock,
      // Dependents stop first: the levels of the start, backwards.
      order: [...graph.levels].reverse(),
      onFound: (leftover) => {
        const { unit, pids } = leftover;
        events.emit({ type: 'leftover.found', unit, pids, reason: reasonOf(leftover) });
      },
    });
    for (const [unit, pids] of survivors) notice(`an earlier ${unit} cannot be ended: pid ${pids.join(', ')}`, unit);
  };
  const reasons = new Map(plan.end.map(({ leftover, reason }) => [leftover, reason]));
  await end([...reasons.keys()], (leftover) => reasons.get(leftover) ?? '');
  return {
    adopted: plan.adopt,
    endAdopted: () =>
      end(
        found.filter((leftover) => !reasons.has(leftover)),
        () => 'nothing is to be started',
      ),
    remember(lastUp) {
      try {
        writeLastUp(paths.runDir, lastUp);
      } catch (error) {
        notice(`cannot write down what is up: after a kill of k3s-lite, \`down\` would undo nothing: ${String(error)}`);
      }
    },
    [Symbol.dispose]: () => entered[Symbol.dispose](),
  };
}

/**
 * Locks it for us, and makes its run-time folder. Disposing gives it back, after the run-time folders that are
 * empty by then are removed.
 *
 * @throws StartupError as `claimDataDirectory` does
 */
export function enterDataDirectory(paths: Paths, clock: Clock): Disposable {
  const { dataDir, runDir, controlSocket: contact } = paths;
  // Before anything in it is believed: its run records say which processes are adopted and which are ended.
  writing(runDir, () => makePrivateFolder(runDir));
  const lock = writing(dataDir, () => lockDataDirectory({ dataDir, contact, wallMs: clock.wallMs() }));
  return {
    [Symbol.dispose]() {
      // While we still hold it: nobody else can be using them.
      for (const name of ['notify', 'lb']) removeIfEmpty(path.join(runDir, name));
      // As long as something is recorded, somebody may have to stop it.
      if (removeIfEmpty(path.join(runDir, 'runs'))) {
        removeLastUp(runDir);
        const { peerHealth, etcdSocket } = layoutOf(paths);
        // An etcd that was killed has left its socket.
        for (const file of [peerHealth, etcdSocket]) rmSync(file, { force: true });
      }
      removeIfEmpty(runDir);
      lock[Symbol.dispose]();
    },
  };
}

/** Where runs of a data directory are recorded, and how their processes are known. */
export function runsPlace({ runDir }: Paths, graph: UnitGraph | undefined, notice: Notice): LeftoverOptions {
  return {
    recordDir: path.join(runDir, 'runs'),
    marker: path.basename(runDir),
    programOf: (unit) => (graph?.has(unit) === true ? graph.unit(unit).run[0] : undefined),
    notice,
  };
}

/** What the file system refuses is a mistake of the place, not of ours. */
function writing<T>(folder: string, write: () => T): T {
  try {
    return write();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (error instanceof StartupError || code === undefined) throw error;
    const reason = error instanceof Error ? error.message : code;
    const hint =
      code === 'EEXIST' || code === 'ENOTDIR'
        ? 'a file is where the folder should be: move it away, or name another folder with --data-dir'
        : 'give it to the user that runs k3s-lite, or name another with --data-dir';
    throw new StartupError('ERR_CONFIG', `cannot use ${folder}: ${reason}`, { folder, hint }, { cause: error });
  }
}

/** False when it is not empty: what is in it has a reason to be there. */
function removeIfEmpty(folder: string): boolean {
  try {
    rmdirSync(folder);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}
