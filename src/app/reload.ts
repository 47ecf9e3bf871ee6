/**
 * `reload` and SIGHUP: reads configuration and unit files anew, and gives the executor the new graph.
 * Every mistake ends before anything is touched.
 */
import { isDeepStrictEqual } from 'node:util';
import type { ReloadOutcome } from '../control/source.ts';
import { StartupError } from '../error/startup-error.ts';
import { isEmptyPlan } from '../event/reload-plan.ts';
import type { Executor } from '../executor/executor-api.ts';
import type { ReloadOptions } from '../executor/reload.ts';
import type { BuiltinTable } from './builtin-table.ts';
import type { Configuration } from './configuration.ts';
import { checkEtcdReach } from './etcd-reach.ts';
import { prepare, type Prepared } from './prepare.ts';
import { messageOf } from '../kernel/message-of.ts';

export interface ReloaderOptions {
  readonly executor: Pick<Executor, 'graph' | 'events' | 'planReload' | 'reload'>;
  readonly first: Prepared;
  readonly builtins: BuiltinTable;
  /** Units asked for by name when it started. */
  readonly units: readonly string[];
  /** Words after `--`. */
  readonly mainArguments: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readConfiguration(): Promise<Configuration>;
  /** Told what the running graph is made from by now. */
  onReloaded?(current: Prepared): void;
}

export interface Reloader {
  /** What the running graph was made from. */
  readonly current: Prepared;
  /**
   * Tells what becomes of it as events too, unless `dryRun`.
   *
   * @throws StartupError of any mistake in a file, or ERR_CONTROL when it cannot be reloaded now; then nothing has changed
   */
  reload(options: { readonly dryRun: boolean }): Promise<ReloadOutcome>;
}

export function reloader(options: ReloaderOptions): Reloader {
  const { executor, builtins, units, mainArguments, env, cwd } = options;
  let current = options.first;

  const apply = async (dryRun: boolean): Promise<ReloadOutcome> => {
    const configuration = await options.readConfiguration();
    requireSamePlace(current.configuration, configuration);
    const next = await prepare({ configuration, units, mainArguments, env, cwd, mayBeGone: true });
    checkEtcdReach(next.graph);
    const hasNewSettings = !isDeepStrictEqual(next.settings, current.settings);
    const how: ReloadOptions = {
      // What a builtin does with the settings its definition does not tell.
      isAlsoChanged: (name) => hasNewSettings && next.graph.unit(name).kind === 'builtin',
      onRollback(names) {
        if (names.some((name) => next.graph.unit(name).kind === 'builtin')) builtins.restore();
      },
    };
    const notes = isDeepStrictEqual(next.searchPath, current.searchPath)
      ? []
      : ['programs are still looked for where they were: the next `up` takes --bin-dir and PATH over'];
    if (dryRun) {
      const plan = executor.planReload(next.graph, how);
      return { plan, notes, elapsedMs: 0, rolledBack: [], waiting: [] };
    }
    await builtins.fill(next.graph, next.settings);
    const report = await executor.reload(next.graph, how);
    current = next;
    options.onReloaded?.(next);
    if (!isEmptyPlan(report.plan))
      for (const text of notes) executor.events.emit({ type: 'notice', level: 'warning', text });
    return { ...report, notes };
  };

  return {
    get current() {
      return current;
    },
    async reload({ dryRun }) {
      try {
        return await apply(dryRun);
      } catch (error) {
        const known = error instanceof StartupError ? (error as StartupError<object>) : internalError(error);
        if (!dryRun) executor.events.emit({ type: 'reload.refused', error: known });
        throw known;
      }
    },
  };
}

function requireSamePlace(before: Configuration, after: Configuration): void {
  if (after.paths.dataDir === before.paths.dataDir) return;
  const message = `cannot change data-dir from ${before.paths.dataDir} to ${after.paths.dataDir} while it is in use`;
  throw new StartupError('ERR_CONFIG', message, { hint: '`k3s-lite down`, then `k3s-lite up`' });
}

function internalError(error: unknown): StartupError {
  const message = messageOf(error);
  return new StartupError('ERR_INTERNAL', `internal error: ${message}`, {}, { cause: error });
}
