/**
 * The process of a run, launched or adopted: what it says of itself, whether it is ready, how it
 * ends. Reports facts (see run.ts).
 */
import type { Exit, ReadinessError } from '../error/readiness-error.ts';
import type { NotifySocket, NotifyState } from '../probe/notify-port.ts';
import { hasKind } from '../probe/probe-spec.ts';
import { resolveAccount } from '../process/account.ts';
import type { RunningProcess } from '../process/process-port.ts';
import type { RunRecord } from '../process/run-record.ts';
import type { Unit } from '../unit/schema.ts';
import { exitError, spawnError } from './failure.ts';
import { startHealthWatch, untilRunReady } from './readiness.ts';
import type { RunContext, RunPart, RunReport } from './run-context.ts';
import { timeLimit } from './time-limit.ts';

export function startProcess(context: RunContext): RunPart {
  const { unit, generation, ports, report } = context;
  let notify: NotifySocket | undefined;
  let process: RunningProcess;
  try {
    // Without `ready` there is nothing to wait for, and the socket would be for nothing.
    const isAsked = unit.ready !== undefined || unit.watchdog !== undefined;
    notify = isAsked ? ports.notify.open(unit.name, generation, otherUser(unit)) : undefined;
    process = ports.process.launch({ unit, generation, extraEnv: notifyEnv(unit, notify) });
  } catch (error) {
    notify?.[Symbol.dispose]();
    report.failed(spawnError(context.facts('spawn'), error));
    return { watch: () => undefined, end: () => Promise.resolve([]) };
  }
  report.spawned(process.pid);
  return follow(context, process, notify);
}

/** A process that runs already, of an earlier k3s-lite: what it has said of itself is in its record. */
export function adoptProcess(context: RunContext, record: RunRecord): RunPart {
  const { unit, ports, report } = context;
  const process = ports.process.adopt({ unit, record });
  report.adopted(record);
  // The task is done, as the machine knows; what it left behind is ended when it is stopped.
  if (record.finished === true) return { watch: () => undefined, end: (how) => process.stop(how) };
  return follow(context, process, reopenNotify(context, record));
}

/** Without its socket a check that needs it fails, and the process is started again. */
function reopenNotify({ unit, ports }: RunContext, record: RunRecord): NotifySocket | undefined {
  const { notifySocket, ready = false, mainPid } = record;
  if (notifySocket === undefined) return undefined;
  try {
    return ports.notify.reopen(notifySocket, { ready, mainPid }, otherUser(unit));
  } catch (error) {
    ports.process.append(unit.name, `cannot open ${notifySocket} again: ${String(error)}`);
    return undefined;
  }
}

/** The user of a unit that does not run as we do. @throws as a spawn does when there is no such user */
function otherUser({ user }: Unit): number | undefined {
  const uid = user === undefined ? undefined : resolveAccount({ user })?.uid;
  return uid === process.getuid?.() ? undefined : uid;
}

/** Reports what becomes of a process, until its end. */
function follow(given: RunContext, process: RunningProcess, notify: NotifySocket | undefined): RunPart {
  const context = { ...given, report: suspectingReport(given.report, process) };
  const { unit, report } = context;
  const isRemembered = hasKind(unit.ready, 'notify') || hasKind(unit.ready, 'log');
  let isReady = false;
  const remember = () => {
    if (isReady && isRemembered) process.becameReady({ mainPid: notify?.current.mainPid });
  };
  let warning = '';
  let figures: NotifyState['figures'];
  const told = notify?.subscribe((state) => {
    if (state.status !== undefined) report.status(state.status);
    // The state is what was said last of each: a warning that stands is told once.
    if (state.warning !== undefined && state.warning !== warning && state.warning !== '') report.warned(state.warning);
    warning = state.warning ?? '';
    if (state.figures !== undefined && state.figures !== figures) report.figures(state.figures);
    figures = state.figures;
    remember();
  });
  const ready = async () => {
    await untilRunReady(context, process, notify);
    isReady = true;
    remember();
  };

  const limit = unit.kind === 'task' ? timeLimit(context) : undefined;
  if (unit.kind === 'task') followTask(context, process);
  else followService(context, process, ready());
  /** Until it has begun, its turn. */
  let health: Disposable | undefined;
  const watchHealth = () => {
    try {
      health = startHealthWatch(context, process, notify);
    } catch (error) {
      // A check that cannot be made (a library user may have skipped `check`): shown, and nothing is restarted for it.
      report.unhealthy(error as ReadinessError, false);
    }
  };
  return {
    watch() {
      // It is ready: who waits for it comes first.
      health ??= context.ports.clock.later(watchHealth);
    },
    async end(how) {
      limit?.[Symbol.dispose]();
      health?.[Symbol.dispose]();
      told?.[Symbol.dispose]();
      const remaining = await process.stop(how);
      notify?.[Symbol.dispose]();
      return remaining;
    },
  };
}

/** A check that fails is the first sign of an end that no event tells. */
function suspectingReport(report: RunReport, process: RunningProcess): RunReport {
  return {
    ...report,
    attempt(phase, check, attempt, count) {
      if (attempt.outcome !== 'ok') process.suspect();
      report.attempt(phase, check, attempt, count);
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
