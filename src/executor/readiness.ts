/** Readiness and health of one run: the checks of the unit file, driven by the probe room. */
import { watchHealth } from '../probe/watch-health.ts';
import { watchWatchdog } from '../probe/watchdog.ts';
import type { NotifySocket } from '../probe/notify-port.ts';
import type { ProbeContext } from '../probe/create-probe.ts';
import { whoHoldsPort } from '../probe/proc-sockets.ts';
import { untilReady } from '../probe/until-ready.ts';
import type { RunningProcess } from '../process/process-port.ts';
import type { HealthSpec } from '../unit/probe-schema.ts';
import { lastOutput, startError } from './failure.ts';
import type { RunContext } from './run-context.ts';
import { messageOf } from '../kernel/message-of.ts';

/** Resolves when the unit's `ready` passes (at once without one); rejects with a ReadinessError. */
export async function untilRunReady(
  context: RunContext,
  process: RunningProcess,
  notify: NotifySocket | undefined,
): Promise<void> {
  const { unit, generation, ports, report, signal } = context;
  const { ready } = unit;
  if (ready === undefined) return;
  const probe = tryCreate(context, process, notify, ready);
  const check = probe.describe();
  const log = ports.process.log(unit.name);
  const startedMs = ports.clock.monotonicMs();
  await untilReady({
    probe,
    component: unit.name,
    generation,
    clock: ports.clock,
    random: ports.random,
    signal,
    deadline: () => Math.max(startedMs + unit.startWithin, notify?.current.extendedUntilMs ?? 0),
    onAttempt: (attempt, count) => report.attempt('ready', check, attempt, count),
    onHint: report.hint,
    lastLogLines: () => lastOutput(log),
    exited: process.exited,
    holderOf: whoHoldsPort,
    ...(ready.timeout === undefined ? {} : { attemptTimeoutMs: ready.timeout }),
    ...(ready.successes === undefined ? {} : { successes: ready.successes }),
  });
}

/** Checks `health` and `watchdog` until disposed. */
export function startHealthWatch(
  context: RunContext,
  process: RunningProcess,
  notify: NotifySocket | undefined,
): Disposable {
  const { health, watchdog } = context.unit;
  const watches = [
    ...(health === undefined ? [] : [startProbing(context, process, notify, health)]),
    ...(watchdog === undefined || notify === undefined ? [] : [startWatchdog(context, notify, watchdog)]),
  ];
  return {
    [Symbol.dispose]: () => {
      for (const watch of watches) watch[Symbol.dispose]();
    },
  };
}

/** A process that misses its own promise hangs: it is restarted. Source: systemd.service(5), WatchdogSec=. */
function startWatchdog(
  { unit, generation, ports, report }: RunContext,
  socket: NotifySocket,
  intervalMs: number,
): Disposable {
  return watchWatchdog({
    socket,
    intervalMs,
    component: unit.name,
    generation,
    clock: ports.clock,
    lastLogLines: () => lastOutput(ports.process.log(unit.name)),
    onChange(change) {
      if (change.healthy) report.healthy();
      else report.unhealthy(change.error, true);
    },
  });
}

function startProbing(
  context: RunContext,
  process: RunningProcess,
  notify: NotifySocket | undefined,
  health: HealthSpec,
): Disposable {
  const { unit, generation, ports, report } = context;
  const probe = tryCreate(context, process, notify, health);
  const check = probe.describe();
  const log = ports.process.log(unit.name);
  return watchHealth({
    probe,
    component: unit.name,
    generation,
    clock: ports.clock,
    random: ports.random,
    everyMs: health.every,
    timeoutMs: health.timeout,
    failures: health.failures,
    successes: health.successes,
    lastLogLines: () => lastOutput(log),
    onAttempt: (attempt, count) => report.attempt('health', check, attempt, count),
    holderOf: whoHoldsPort,
    onChange(change) {
      if (change.healthy) report.healthy();
      else report.unhealthy(change.error, health.onFailure === 'restart');
    },
  });
}

function tryCreate(
  context: RunContext,
  process: RunningProcess,
  notify: NotifySocket | undefined,
  spec: Parameters<typeof context.ports.createProbe>[0],
) {
  const { unit, ports } = context;
  const probeContext: ProbeContext = {
    unit: unit.name,
    notify,
    log: ports.process.log(unit.name),
    runToEnd: (argv, signal) => ports.process.runToEnd({ unit, argv, signal }),
    wasReady: context.adopted?.ready,
    pids: () => [notify?.current.mainPid, process.pid].filter((pid) => pid !== undefined),
  };
  try {
    return ports.createProbe(spec, probeContext);
  } catch (error) {
    // Caught by `check` before anything starts; a library user may have skipped that.
    throw startError(context.facts('startup'), 'ready', messageOf(error), error);
  }
}
