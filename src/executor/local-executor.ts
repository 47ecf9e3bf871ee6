/**
 * An executor on this machine: real processes, real probes. What the library exports and what
 * `up` runs; a test constructs `createExecutor` with ports of its own instead.
 */
import path from 'node:path';
import { noticeTo } from '../event/notice.ts';
import { createEventStream, type EventStream } from '../event/stream.ts';
import type { UnitGraph } from '../graph/unit-graph.ts';
import { systemClock, type Clock } from '../kernel/clock.ts';
import { makeFolderWithParents } from '../kernel/make-folders.ts';
import { createProbe } from '../probe/create-probe.ts';
import { createListenWatch } from '../probe/listen-watch.ts';
import { createNotifyPort } from '../probe/notify-socket.ts';
import { askListeners } from '../probe/sock-diag.ts';
import { tryConnect } from '../probe/try-connect.ts';
import { openCgroupTree, type CgroupTree } from '../process/cgroup.ts';
import { openLimitGroups } from '../process/limit-groups.ts';
import { createProcessLayer } from '../process/create-process-layer.ts';
import type { ProcessPort } from '../process/process-port.ts';
import type { RunRecord } from '../process/run-record.ts';
import type { UnitUsage } from '../process/unit-usage.ts';
import type { Builtins } from '../unit/builtin.ts';
import { createExecutor } from './create-executor.ts';
import type { Executor } from './executor-api.ts';

export interface LocalExecutorOptions {
  readonly graph: UnitGraph;
  /** Folder for logs and run records. */
  readonly dataDir: string;
  /** Folder for sockets (default: `<dataDir>/run`); its path should be short. */
  readonly runDir?: string;
  /** Identifies `dataDir` in the environment of its processes (default: its path's hash). No slash. */
  readonly instance: string;
  /** Functions that units of `kind: builtin` run, by name. */
  readonly builtins?: Builtins;
  /** Environment from which the units' minimal one is picked (default: ours). */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** What `k3s-lite` as a unit's program stands for (default: what is found on PATH). */
  readonly ownProgram?: readonly string[] | undefined;
  readonly clock?: Clock;
  readonly events?: EventStream;
  /** Runs of an earlier k3s-lite on `dataDir` that are gone on with. */
  readonly adopted?: ReadonlyMap<string, RunRecord>;
}

export interface LocalExecutor extends Executor, AsyncDisposable {
  readonly process: ProcessPort;
  /** What each running unit uses now: CPU time and memory. */
  usage(): ReadonlyMap<string, UnitUsage>;
}

/** Disposing waits for what was written and removes the cgroups; it does not stop units: `stop` does. */
export function createLocalExecutor(options: LocalExecutorOptions): LocalExecutor {
  const { graph, dataDir, instance, clock = systemClock, env = process.env } = options;
  const { runDir = path.join(dataDir, 'run'), events = createEventStream({ clock }) } = options;
  for (const dir of [dataDir, runDir]) makeFolderWithParents(dir);
  const notice = noticeTo(events, 'info');
  const cgroup = openCgroup(graph, instance, notice);
  const layer = createProcessLayer({
    clock,
    logDir: path.join(dataDir, 'logs'),
    recordDir: path.join(runDir, 'runs'),
    cgroup,
    limitGroups: openLimitGroups({ instance, notice }),
    marker: instance,
    baseEnv: env,
    defaultCwd: dataDir,
    ...(options.ownProgram === undefined ? {} : { ownProgram: options.ownProgram }),
    notice,
  });
  const connectNow = tryConnect();
  const listening = connectNow && createListenWatch(clock, connectNow, askListeners()?.ports);
  const executor = createExecutor({
    graph,
    events,
    adopted: options.adopted ?? new Map(),
    ports: {
      clock,
      random: Math.random,
      process: layer,
      notify: createNotifyPort({
        dir: path.join(runDir, 'notify'),
        // Needed by root alone, who alone may run units as others.
        openDir: path.join('/run', `k3s-lite-notify-${instance}`),
        clock,
      }),
      createProbe: (spec, context) => createProbe(spec, { ...context, listening }),
      builtins: options.builtins ?? new Map(),
    },
  });
  return {
    ...executor,
    get graph() {
      return executor.graph;
    },
    process: layer,
    usage: layer.usage,
    [Symbol.asyncDispose]: () => layer[Symbol.asyncDispose](),
  };
}

/** Only where a unit asks for it: without one nothing is made, and nothing is said about its absence. */
function openCgroup(graph: UnitGraph, instance: string, notice: (text: string) => void): CgroupTree | undefined {
  const isWanted = graph.order.some((name) => {
    const { kind, stop } = graph.unit(name);
    return kind !== 'builtin' && stop.scope === 'cgroup';
  });
  return isWanted ? openCgroupTree({ instance, notice }) : undefined;
}
