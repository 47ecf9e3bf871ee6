/**
 * `down` when k3s-lite itself was killed: its units live on, and somebody has to stop them in order.
 *
 * The graph is made again from what `up` was asked for (last-up.ts). Where that cannot be done (a unit file is
 * broken by now), the run records alone tell what to end, and it is said that nothing was undone.
 */
import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { oneLine } from '../error/render.ts';
import { noticeTo } from '../event/notice.ts';
import type { EventStream } from '../event/stream.ts';
import { endEarlier } from '../executor/end-earlier.ts';
import { createLocalExecutor } from '../executor/local-executor.ts';
import type { Clock } from '../kernel/clock.ts';
import { endLeftovers, findLeftovers, type Leftover } from '../process/leftover.ts';
import { builtinTable } from './builtin-table.ts';
import type { Configuration } from './configuration.ts';
import { enterDataDirectory, runsPlace } from './data-directory.ts';
import { unitEnv } from './flags.ts';
import { type LastUp, readLastUp } from './last-up.ts';
import { prepare, type Prepared } from './prepare.ts';
import { askedFor, killedReason } from './stop-requests.ts';

export interface DownEarlierOptions {
  readonly configuration: Configuration;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly events: EventStream;
  /** Kill at once instead of waiting for a clean stop. */
  readonly hurry: AbortSignal;
}

/**
 * @returns what could not be cleared, one line each; undefined when nothing of an earlier k3s-lite is there
 * @throws StartupError ERR_LOCKED while a k3s-lite holds the data directory; ERR_CONFIG when it cannot be written
 */
export async function downEarlier(options: DownEarlierOptions): Promise<readonly string[] | undefined> {
  const { configuration, clock, events, hurry } = options;
  const { paths } = configuration;
  if (!existsSync(paths.dataDir)) return undefined;
  using _entered = enterDataDirectory(paths, clock);
  const notice = noticeTo(events, 'warning');
  const lastUp = readLastUp(paths.runDir);
  const notUndone = (reason: string) =>
    notice(`nothing will be undone (\`k3s-lite up\`, and then \`down\`, does it): ${reason}`);
  const prepared =
    lastUp &&
    (await prepareAgain(options, lastUp).catch((error: unknown) => {
      notUndone(oneLine(error));
      return undefined;
    }));
  const place = runsPlace(paths, prepared?.graph, notice);
  const leftovers = findLeftovers(place);
  if (lastUp === undefined) {
    if (leftovers.length === 0) return undefined;
    notUndone('it is not known what was to be up');
  }
  // Nobody answers on it any more.
  rmSync(paths.controlSocket, { force: true });
  const end = async (own: readonly Leftover[]) =>
    endLeftovers({
      ...place,
      leftovers: own,
      clock,
      hurry,
      onFound: ({ unit, pids }) => events.emit({ type: 'leftover.found', unit, pids, reason: askedFor }),
      onStep(unit, signal, remaining) {
        const generation = own.find((leftover) => leftover.unit === unit)?.generation ?? 0;
        events.emit({ type: 'process.stopping', unit, generation, signal, remaining });
      },
    });
  const common = { leftovers, clock, reason: killedReason, events, end };
  if (prepared === undefined) return await endEarlier({ ...common, known: undefined });

  const { graph, settings, wanted, searchPath } = prepared;
  const { builtins, fill } = builtinTable({ clock, events });
  await fill(graph, settings);
  // For its process layer alone, which runs each `undo` as it would have been run: nothing is started.
  await using executor = createLocalExecutor({
    graph,
    dataDir: paths.dataDir,
    runDir: paths.runDir,
    instance: path.basename(paths.runDir),
    builtins,
    env: { ...unitEnv(options.env), PATH: searchPath.join(':') },
    ownProgram: [process.execPath, process.argv[1] ?? ''],
    clock,
    events,
  });
  const ports = { clock, process: executor.process, builtins };
  return await endEarlier({ ...common, known: { graph, wanted, ports } });
}

/** @throws StartupError as `prepare` does */
function prepareAgain({ configuration, env }: DownEarlierOptions, lastUp: LastUp): Promise<Prepared> {
  const { values, units, mainArguments, cwd } = lastUp;
  return prepare({
    configuration: { ...configuration, values },
    units,
    mainArguments,
    env,
    cwd,
    needsPrograms: false,
    mayBeGone: true,
  });
}
