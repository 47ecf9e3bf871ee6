/**
 * One generation of one unit: launches or adopts it, finds out when it is ready, watches it, ends it.
 *
 * It reports facts and decides nothing: what a fact means is the unit machine's business. All that
 * it starts (probe, health watch, notify socket, timers) ends with `stop`.
 */
import { existsSync } from 'node:fs';
import { StartupError } from '../error/startup-error.ts';
import type { ReadinessError } from '../error/readiness-error.ts';
import { deferred } from '../kernel/deferred.ts';
import type { StopStep } from '../process/process-port.ts';
import { lastOutput, startError } from './failure.ts';
import type { RunContext, RunOptions, RunPart } from './run-context.ts';
import { adoptProcess, startProcess } from './run-process.ts';
import { timeLimit } from './time-limit.ts';

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
      adopted: guard(report.adopted),
      passed: guard(report.passed),
      failed: guard(report.failed),
      exited: guard(report.exited),
      healthy: guard(report.healthy),
      unhealthy: guard(report.unhealthy),
      status: guard(report.status),
      warned: guard(report.warned),
      figures: guard(report.figures),
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
  if (context.adopted !== undefined) return adoptProcess(context, context.adopted);
  if (kind === 'builtin') return startBuiltin(context);
  if (kind === 'task' && creates !== undefined && existsSync(creates)) return alreadyDone(context);
  return startProcess(context);
}

function alreadyDone({ unit, ports, report }: RunContext): RunPart {
  ports.process.append(unit.name, `nothing to do: ${unit.creates ?? ''} exists`);
  void Promise.resolve().then(() => report.passed(true));
  return { watch: () => undefined, end: () => Promise.resolve([]) };
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
