/**
 * The composition root of `up`: constructs executor, process layer, reporters and control socket,
 * connects them, and lets `supervise` run.
 */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { layoutOf } from '../cluster/layout.ts';
import { exitCode } from '../error/codes.ts';
import { renderError } from '../error/render.ts';
import { noticeTo } from '../event/notice.ts';
import { createEventStream, type EventStream } from '../event/stream.ts';
import type { Executor } from '../executor/executor-api.ts';
import { createLocalExecutor } from '../executor/local-executor.ts';
import { abortError } from '../kernel/abort.ts';
import { systemClock, type Clock } from '../kernel/clock.ts';
import { messageOf } from '../kernel/message-of.ts';
import { actAsInit, initRole, type InitRole } from '../process/init-role.ts';
import { type CommandPlace, isSameProgram } from '../process/unit-command.ts';
import { latestDurationsMs } from '../report/start-store.ts';
import { watchBudgets } from './budget-watch.ts';
import { budgetsOf } from './budgets.ts';
import { builtinTable } from './builtin-table.ts';
import type { Configuration } from './configuration.ts';
import { isContainerEntry } from './container-mode.ts';
import { controlSource } from './control-source.ts';
import { renewCertificates } from './certificate-renewal.ts';
import { crashingOnBugs } from './crash.ts';
import { claimDataDirectory, makeFolders } from './data-directory.ts';
import { manifestsOnDemand, restsWithout } from './manifests-on-demand.ts';
import { metricsAddressOf, metricsSource, serveMetrics } from './metrics-source.ts';
import { openData, type OpenedData, type Present } from './data-record.ts';
import { dumpState } from './dump.ts';
import { checkEtcdReach } from './etcd-reach.ts';
import { prepare, textOf, timeoutOf, type Prepared } from './prepare.ts';
import { readySummary } from './ready-summary.ts';
import { reloader } from './reload.ts';
import type { FlagValues } from './flag-values.ts';
import { unitEnv, withoutSecrets } from './flags.ts';
import type { FailureOutput } from './render-failure.ts';
import { startReporters } from './reporters.ts';
import { connectServiceManager } from './service-manager.ts';
import { listenForSignals } from './signals.ts';
import { standInForEtcd } from './stand-in-for-etcd.ts';
import { overBudget, stopRequests, type StopRequests } from './stop-requests.ts';
import { supervise } from './supervise.ts';
import { showUnitOutput, wantsUnitOutput } from './unit-output.ts';
import { version } from './version.ts';

export interface UpOptions {
  readonly configuration: Configuration;
  /** Reads it again, for a reload. */
  readConfiguration(): Promise<Configuration>;
  readonly units: readonly string[];
  /** Words after `--`: for the main unit. */
  readonly mainArguments?: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Aborts at a signal; looked at until `supervise` listens to signals itself. */
  readonly signal: AbortSignal;
  readonly io: FailureOutput & { out(text: string): void; readonly outIsTty: boolean };
  /** Somebody waits for this start (`up --wait`): over budget is a failure, and not only said. */
  readonly isAwaited: boolean;
  /** Told when the control socket answers, for `up --detach`. */
  onListening?(): void;
  /** Told when everything is ready, for `up --wait`. */
  onReady?(): void;
}

/**
 * @returns the exit code
 * @throws StartupError for every mistake that is found before anything starts; the reason of `signal` if that aborts before
 */
export async function up(options: UpOptions): Promise<number> {
  const { configuration, env, io, signal } = options;
  const { pid, ppid } = process;
  const role = initRole({ pid, ppid, env, isWanted: configuration.values['init'] === true });
  const stopper = stopRequests();
  // Until there is something to reload or to dump.
  const asked: SignalWork = { onReload: () => undefined, onDump: () => undefined };
  using _signals = listenForSignals({
    onStop(name, count) {
      if (count > 2) process.exit(name === 'SIGINT' ? exitCode.interrupted : exitCode.terminated);
      stopper.request({ reason: name, hurry: count > 1 });
    },
    onReload: () => asked.onReload(),
    onDump: () => asked.onDump(),
    stopsWithTerminal: role !== 'pid-1' && role !== 'below-init',
  });
  const run = () => connectAndRun(options, { role, stopper, asked });
  return role === 'below-init' ? await crashingOnBugs(run, { io, signal }) : await run();
}

/** What SIGHUP and SIGUSR2 do. */
interface SignalWork {
  onReload: () => void;
  onDump: () => void;
}

interface Surroundings {
  readonly role: InitRole;
  readonly stopper: StopRequests;
  readonly asked: SignalWork;
}

async function connectAndRun(options: UpOptions, { role, stopper, asked }: Surroundings): Promise<number> {
  const { configuration, units, mainArguments = [], env, cwd, io, signal } = options;
  const { paths, values } = configuration;
  const showsUnits = wantsUnitOutput(values, { isContainer: isContainerEntry(values), outIsTty: io.outIsTty });
  const clock = systemClock;
  const timeoutMs = timeoutOf(values);
  const metricsAddress = metricsAddressOf(values);
  const durationsMs = latestDurationsMs(paths.startsDir);
  const prepared = await prepare({ configuration, units, mainArguments, env, cwd, durationsMs });
  checkEtcdReach(prepared.graph);
  const { graph, settings, searchPath } = prepared;
  const budgets = budgetsOf(values, prepared.wanted);
  // Read before anything is touched: data of a newer version is refused.
  const data = openData({
    dataDir: paths.dataDir,
    present: presentOf(prepared),
    allowDowngrade: values['allow-downgrade'] === true,
  });
  const events = createEventStream({ clock });
  const builtins = builtinTable({ clock, events });
  await builtins.fill(graph, settings);
  makeFolders(paths.dataDir, paths.runDir, paths.logDir);

  const manifestPlace = layoutOf({ dataDir: paths.dataDir, runDir: paths.runDir });
  const rests = restsWithout(manifestPlace, graph);
  const wanted = graph.closure(units.length === 0 ? graph.order.filter((name) => !rests(name)) : units);
  const programs: CommandPlace = {
    baseEnv: { ...unitEnv(env), PATH: searchPath.join(':') },
    defaultCwd: paths.dataDir,
    ownProgram: [process.execPath, process.argv[1] ?? ''],
  };
  using claim = await claimDataDirectory({
    paths,
    graph,
    wanted,
    clock,
    events,
    isSameProgram: (unit, record) => isSameProgram(programs, unit, record),
  });
  const remember = (values: FlagValues) =>
    claim.remember({ values: withoutSecrets(values), units, mainArguments, cwd });
  remember(values);
  // Started without a reset: the next one is meant again.
  rmSync(manifestPlace.resetFlag, { force: true });
  recordData(data, events);
  // Ending what an earlier run left takes time, and a signal meanwhile says that nothing is to be started.
  const heedSignal = async () => {
    if (!signal.aborted) return;
    await claim.endAdopted();
    throw abortError(signal);
  };
  await using executor = createLocalExecutor({
    graph,
    dataDir: paths.dataDir,
    runDir: paths.runDir,
    instance: path.basename(paths.runDir),
    builtins: builtins.builtins,
    env: programs.baseEnv,
    ownProgram: programs.ownProgram,
    clock,
    events,
    adopted: claim.adopted,
  });
  using _manager = connectServiceManager({ env, events, clock, executor, pid: process.pid });
  const view = { ...io, outIsTty: io.outIsTty && !showsUnits };
  await using reporters = await startReporters({ events, clock, paths, json: values['json'] === true, io: view });
  using _output = showsUnits
    ? showUnitOutput({ units: graph.order, process: executor.process, stream: process.stdout })
    : undefined;
  const notice = noticeTo(events, 'warning');
  using _init = actAsInit({ role, clock, notice });
  using metrics = metricsSource({ events, clock, usage: executor.usage });
  await using _metricsServer = await serveMetrics(metricsAddress, metrics, events);
  let isOverBudget = false as boolean;
  const fail = (error: unknown) =>
    io.err(`k3s-lite: ${renderError(error, { width: io.columns, colour: io.colour })}\n`);
  using _budgets = watchBudgets({
    budgets,
    events,
    clock,
    onExceeded(error) {
      if (!options.isAwaited || isOverBudget) return;
      isOverBudget = true;
      stopper.request({ reason: overBudget });
      events.flush();
      fail(error);
    },
  });
  const { readConfiguration } = options;
  const reloading = reloader({
    executor,
    first: prepared,
    builtins,
    units,
    mainArguments,
    env,
    cwd,
    readConfiguration,
    onReloaded: (next) => remember(next.configuration.values),
  });
  const dump = () =>
    dumpState({
      executor,
      logDir: paths.logDir,
      now: { wallMs: clock.wallMs(), monotonicMs: clock.monotonicMs() },
    });
  asked.onReload = () => {
    // What becomes of it is told by events.
    reloading.reload({ dryRun: false }).catch(() => undefined);
  };
  asked.onDump = () => {
    try {
      dump();
    } catch (error) {
      notice(`cannot write the state: ${messageOf(error)}`);
    }
  };
  const source = controlSource({
    executor,
    metrics: metrics.text,
    current: () => reloading.current,
    reload: reloading.reload,
    dump,
    stop: stopper.stop,
  });
  const control = afterFirstStart(executor, clock)
    .then(() => import('../control/server.ts'))
    .then(({ createControlServer }) => createControlServer({ socketPath: paths.controlSocket, clock, source }));
  // Awaited at the end only, where it throws: nothing waits for it before units start.
  control.then(
    () => options.onListening?.(),
    () => stopper.request({ reason: 'the control socket could not be made' }),
  );
  try {
    await heedSignal();
    const life = supervise({
      executor,
      units,
      rests,
      clock,
      timeoutMs,
      stopper,
      mainUnit: textOf(values, 'exit-with'),
      onReady(elapsedMs) {
        // Readers drain in turns of their own: what they say of the start comes before its summary.
        events.flush();
        if (isOverBudget) return;
        const { colour, columns: width } = io;
        reporters.say(readySummary({ executor, prepared, elapsedMs, colour, width }));
        options.onReady?.();
      },
      onNotReady(errors) {
        // One text for all: what several have for their root is told once.
        fail(errors.length === 1 ? errors[0] : new AggregateError(errors, 'not ready in time'));
      },
    });
    using _renewal = renewCertificates({ layout: layoutOf(paths), executor, clock, notice });
    using _standIn = standInForEtcd({ socketPath: manifestPlace.etcdSocket, executor, clock, notice });
    // Of units that were asked for by name none rests.
    using _manifests = units.length === 0 ? manifestsOnDemand({ place: manifestPlace, executor, notice }) : undefined;
    return await life;
  } finally {
    await (await control).close();
  }
}

/** Of a graph without a cluster only the layout is recorded: it has no node. */
function presentOf({ versions, settings }: Prepared): Present {
  const { nodeName, nodeIp } = settings;
  return { k3sLite: version, ...versions, ...(versions.etcd === undefined ? {} : { nodeName, nodeIp }) };
}

/** A disk that is full must not keep a cluster down. */
function recordData(data: OpenedData, events: EventStream): void {
  for (const { level, text } of data.remarks) events.emit({ type: 'notice', level, text });
  try {
    data.record();
  } catch (error) {
    const reason = messageOf(error);
    events.emit({ type: 'notice', level: 'warning', text: `the version of the data cannot be recorded: ${reason}` });
  }
}

/** How long the control socket may have to wait for the first process, in milliseconds. */
const controlWithinMs = 100;

/** Resolves when the first process runs: loading an HTTP server is not to be waited for by it. */
function afterFirstStart({ events }: Executor, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      timer[Symbol.dispose]();
      started[Symbol.dispose]();
      resolve();
    };
    const timer = clock.timer(controlWithinMs, end);
    const started = events.subscribe({
      onEvent({ event }) {
        if (event.type === 'process.spawned') end();
      },
    });
  });
}
