/**
 * One generation of one unit: launches it, finds out when it is ready, watches it, ends it.
 *
 * It reports facts and decides nothing: what a fact means is the unit machine's business. All that
 * it starts (probe, health watch, notify socket, timers) ends with `stop`.
 */
import { existsSync } from 'node:fs';
import { StartupError } from '../error/startup-error.ts';
import type { Exit, ReadinessError } from '../error/readiness-error.ts';
import { deferred } from '../kernel/deferred.ts';
import { formatDurationMs } from '../kernel/duration.ts';
import type { NotifySocket } from '../probe/notify-port.ts';
import type { RunningProcess, StopStep } from '../process/process-port.ts';
import type { Unit } from '../unit/schema.ts';
import { exitError, lastOutput, spawnError, startError } from './failure.ts';
import { startHealthWatch, untilRunReady } from './readiness.ts';
import type { RunContext, RunOptions } from './run-context.ts';

export interface Run {
  /** Begins health checks; called when the unit has become ready. */
  watch(): void;
  /** Ends everything of this generation. Returns pids that survived. */
  stop(options: { readonly hurry?: AbortSignal; readonly onStep?: StopStep }): Promise<readonly number[]>;
}

export function startRun(options: RunOptions): Run {
  const { unit, generation, ports } = options;
  const { clock } = ports;
  const controller = new AbortController();
  const startedMs = clock.monotonicMs();
  let stopped = false;
  const guard =
    <A extends unknown[]>(tell: (...args: A) => void) =>
    (...args: A) => {
      if (!stopped) tell(...args);
    };
  const { report } = options;
  const context: RunContext = {
    ...options,
    startedMs,
    signal: controller.signal,
    isStopped: () => stopped,
    report: {
      spawned: guard(report.spawned),
      passed: guard(report.passed),
      failed: guard(report.failed),
      exited: guard(report.exited),
      healthy: guard(report.healthy),
      unhealthy: guard(report.unhealthy),
      status: guard(report.status),
      attempt: guard(report.attempt),
      hint: guard(report.hint),
      processExited: report.processExited,
    },
    facts: (phase) => ({
      component: unit.name,
      generation,
      phase,
      elapsedMs: clock.monotonicMs() - startedMs,
      lastLogLines: lastOutput(ports.process.log(unit.name)),
    }),
  };
  const part = startPart(context);
  return {
    watch() {
      if (!stopped) part.watch();
    },
    async stop(how) {
      stopped = true;
      controller.abort(new Error(`${unit.name} is being stopped`));
      return part.end(how);
    },
  };
}

function startPart(context: RunContext): RunPart {
  const { kind, creates } = context.unit;
  if (kind === 'builtin') return startBuiltin(context);
  if (kind === 'task' && creates !== undefined && existsSync(creates)) return alreadyDone(context);
  return startProcess(context);
}

function alreadyDone({ unit, ports, report }: RunContext): RunPart {
  ports.process.append(unit.name, `nothing to do: ${unit.creates ?? ''} exists`);
  void Promise.resolve().then(() => report.passed(true));
  return { watch: () => undefined, end: () => Promise.resolve([]) };
}

interface RunPart {
  watch(): void;
  end(how: { readonly hurry?: AbortSignal; readonly onStep?: StopStep }): Promise<readonly number[]>;
}

function startBuiltin(context: RunContext): RunPart {
  const { unit, generation, ports, report, signal } = context;
  const [name = '', ...args] = unit.run;
  const builtin = ports.builtins.get(name);
  const timer = timeLimit(context);
  const work = async () => {
    if (builtin === undefined) throw new Error(`there is no builtin "${name}"`);
    await builtin({
      unit,
      generation,
      args,
      signal,
      snapshotOf: context.snapshotOf,
      log: (line) => ports.process.append(unit.name, line),
      run: (argv) => ports.process.runToEnd({ unit, argv, signal }),
    });
  };
  const ended = work().then(
    () => {
      timer[Symbol.dispose]();
      report.passed(true);
    },
    (error: unknown) => {
      timer[Symbol.dispose]();
      report.failed(builtinError(context, name, error));
    },
  );
  return {
    watch: () => undefined,
    async end() {
      timer[Symbol.dispose]();
      // One that does not heed its signal must not hold up a stop for ever; nothing of it is believed any more.
      const late = deferred<undefined>();
      using _limit = ports.clock.timer(unit.stop.within, () => late.resolve(undefined));
      await Promise.race([ended, late.promise]);
      return [];
    },
  };
}

/** An error with a code of its own speaks for itself as the cause; of any other the message is the reason. */
function builtinError(context: RunContext, name: string, error: unknown): ReadinessError {
  const facts = context.facts('startup');
  if (error instanceof StartupError) return startError(facts, `builtin ${name}`, 'failed', error);
  const { message, cause } = error instanceof Error ? error : { message: String(error), cause: undefined };
  return startError(facts, `builtin ${name}`, message, cause);
}

function startProcess(context: RunContext): RunPart {
  const { unit, generation, ports, report } = context;
  let notify: NotifySocket | undefined;
  let process: RunningProcess;
  try {
    // Without `ready` there is nothing to wait for, and the socket would be for nothing.
    const isAsked = unit.ready !== undefined || unit.watchdog !== undefined;
    notify = isAsked ? ports.notify.open(unit.name, generation) : undefined;
    process = ports.process.launch({ unit, generation, extraEnv: notifyEnv(unit, notify) });
  } catch (error) {
    notify?.[Symbol.dispose]();
    report.failed(spawnError(context.facts('spawn'), error));
    return { watch: () => undefined, end: () => Promise.resolve([]) };
  }
  report.spawned(process.pid);
  const status = notify?.subscribe((state) => {
    if (state.status !== undefined) report.status(state.status);
  });

  const limit = unit.kind === 'task' ? timeLimit(context) : undefined;
  if (unit.kind === 'task') followTask(context, process);
  else followService(context, process, untilRunReady(context, process, notify));
  let health: Disposable | undefined;
  return {
    watch() {
      try {
        health ??= startHealthWatch(context, process, notify);
      } catch (error) {
        // A check that cannot be made (a library user may have skipped `check`): shown, and nothing is restarted for it.
        report.unhealthy(error as ReadinessError, false);
      }
    },
    async end(how) {
      limit?.[Symbol.dispose]();
      health?.[Symbol.dispose]();
      status?.[Symbol.dispose]();
      const remaining = await process.stop(how);
      notify?.[Symbol.dispose]();
      return remaining;
    },
  };
}

/** Source: sd_notify(3), sd_watchdog_enabled(3); WATCHDOG_PID is left out, because the pid is not known before the spawn. */
function notifyEnv({ watchdog }: Unit, notify: NotifySocket | undefined): Readonly<Record<string, string>> {
  if (notify === undefined) return {};
  const watchdogEnv = watchdog === undefined ? {} : { WATCHDOG_USEC: String(watchdog * 1000) };
  return { NOTIFY_SOCKET: notify.path, ...watchdogEnv };
}

function followTask({ report, facts }: RunContext, process: RunningProcess): void {
  void process.exited.then((exit) => {
    report.processExited(process.pid, exit);
    if (isClean(exit)) report.passed(true);
    else report.failed(exitError(facts('startup'), exit));
  });
}

/** Before readiness an exit is reported by the check, with its attempts; after it, by the process. */
function followService({ report, facts }: RunContext, process: RunningProcess, ready: Promise<void>): void {
  let exit: Exit | undefined;
  let isReady = false;
  const tellExit = () => {
    if (exit !== undefined && isReady) report.exited(isClean(exit), exitError(facts('ready'), exit));
  };
  void process.exited.then((ended) => {
    exit = ended;
    report.processExited(process.pid, ended);
    tellExit();
  });
  ready.then(
    () => {
      isReady = true;
      report.passed(false);
      tellExit();
    },
    (error: unknown) => {
      report.failed(error as ReadinessError);
    },
  );
}

function isClean(exit: Exit): boolean {
  return exit.kind === 'code' && exit.code === 0;
}

/** Fails a task or builtin that takes longer than `startWithin`. */
function timeLimit(context: RunContext): Disposable {
  const { unit, ports, report } = context;
  return ports.clock.timer(unit.startWithin, () => {
    const check = unit.kind === 'builtin' ? 'builtin' : 'exit';
    const reason = `not finished within ${formatDurationMs(unit.startWithin)}`;
    report.failed(startError(context.facts('startup'), check, reason));
  });
}
