/** What the control socket may see and do. */
import type { ControlSource } from '../control/source.ts';
import type { LocalExecutor } from '../executor/local-executor.ts';
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
    facts: () => ({
      version,
      pid: process.pid,
      dataDir: configuration.paths.dataDir,
      startedAtMs,
      ...(executor.graph.has('node-ready') ? { nodeName: current().settings.nodeName } : {}),
      ...(executor.graph.has('kubeconfigs') && current().settings.role !== 'agent'
        ? { kubeconfig: current().settings.writeKubeconfig }
        : {}),
    }),
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
