/** What the control socket may see and do. */
import type { ControlSource } from '../control/source.ts';
import type { LocalExecutor } from '../executor/local-executor.ts';
import type { Prepared } from './prepare.ts';
import { lastLogLines } from './read-log.ts';
import { version } from './version.ts';

export interface ControlSourceOptions {
  readonly executor: LocalExecutor;
  readonly prepared: Prepared;
  metrics(): Promise<string>;
  /** Ends `up` as a signal would. */
  stop(options: { readonly hurry: boolean }): void;
}

export function controlSource({ executor, prepared, metrics, stop }: ControlSourceOptions): ControlSource {
  const { settings, configuration } = prepared;
  const startedAtMs = Date.now();
  return {
    executor,
    facts: () => ({
      version,
      pid: process.pid,
      dataDir: configuration.paths.dataDir,
      startedAtMs,
      ...(executor.graph.has('node-ready') ? { nodeName: settings.nodeName } : {}),
      ...(executor.graph.has('kubeconfigs') ? { kubeconfig: settings.writeKubeconfig } : {}),
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
    down: stop,
  };
}
