/** What the control socket may see and do. */
import type { ControlSource } from '../control/source.ts';
import type { LocalExecutor } from '../executor/local-executor.ts';
import { userKubeconfig } from './cluster-role.ts';
import type { Prepared } from './prepare.ts';
import { lastLogLines } from './read-log.ts';
import { version } from './version.ts';

export interface ControlSourceOptions {
  readonly executor: LocalExecutor;
  metrics(): Promise<string>;
  /** What the present graph was made from. */
  current(): Prepared;
  readonly reload: ControlSource['reload'];
  readonly dump: ControlSource['dump'];
  /** Ends `up` as a signal would. */
  stop(options: { readonly hurry: boolean }): void;
}

export function controlSource({ executor, metrics, current, reload, dump, stop }: ControlSourceOptions): ControlSource {
  const { configuration } = current();
  const startedAtMs = Date.now();
  return {
    executor,
    facts() {
      const { graph } = executor;
      const { settings } = current();
      const kubeconfig = userKubeconfig(graph, settings);
      return {
        version,
        pid: process.pid,
        dataDir: configuration.paths.dataDir,
        startedAtMs,
        ...(graph.has('node-ready') ? { nodeName: settings.nodeName } : {}),
        ...(kubeconfig === undefined ? {} : { kubeconfig }),
      };
    },
    // From the files: also what an earlier generation wrote before it crashed.
    log: (unit) => ({
      ...executor.process.log(unit),
      last: (count) => lastLogLines(configuration.paths.logDir, unit, count),
    }),
    async drawGraph(format) {
      const [{ drawGraph }, { liveCriticalPath }] = await Promise.all([
        import('../graph/draw.ts'),
        import('../graph/critical-path.ts'),
      ]);
      const live = executor.snapshots();
      return drawGraph(executor.graph, format, { live, criticalPath: liveCriticalPath(executor.graph, live) });
    },
    usage: executor.usage,
    metrics,
    reload,
    dump,
    down: stop,
  };
}
