/** What `check`, `plan` and `graph` look at; tests give them another one. */
import { checkEtcdReach } from '../../app/etcd-reach.ts';
import { prepare, type Prepared } from '../../app/prepare.ts';
import type { GraphFormat } from '../../graph/draw.ts';
import { latestDurationsMs } from '../../report/start-store.ts';
import type { CommandInput } from '../command.ts';
import { configurationOf } from '../configuration-of.ts';

export interface GraphSource {
  /** Loads and checks what the command line asks for, and starts nothing. @throws StartupError ERR_CONFIG, ERR_UNIT_FILE, ERR_GRAPH */
  load(input: CommandInput, units: readonly string[], options?: LoadOptions): Promise<LoadedGraph>;
  /** The running k3s-lite draws its own graph with the present states. @throws StartupError ERR_CONTROL */
  drawLive(input: CommandInput, format: GraphFormat): Promise<string>;
}

export interface LoadOptions {
  /** Take the times of earlier starts into account. Without, the same files give the same graph on every machine. */
  readonly isTimed?: boolean;
}

export interface LoadedGraph extends Pick<Prepared, 'graph' | 'loaded'> {
  /** Milliseconds from start to ready of each unit, from earlier starts; empty when there were none or none were asked for. */
  readonly durationsMs: ReadonlyMap<string, number>;
}

const noDurations: ReadonlyMap<string, number> = new Map();

export const installedGraph: GraphSource = {
  async load(input, units, { isTimed = false } = {}) {
    const configuration = await configurationOf(input);
    const durationsMs = isTimed ? latestDurationsMs(configuration.paths.startsDir) : noDurations;
    const { env, cwd } = input;
    const prepared = await prepare({ configuration, units, env, cwd, needsPrograms: false, durationsMs });
    checkEtcdReach(prepared.graph);
    return { ...prepared, durationsMs };
  },
  async drawLive(input, format) {
    const { paths } = await configurationOf(input);
    const { controlClient } = await import('../../control/client.ts');
    return controlClient({ socketPath: paths.controlSocket, dataDir: paths.dataDir, signal: input.signal }).graph(
      format,
    );
  },
};
