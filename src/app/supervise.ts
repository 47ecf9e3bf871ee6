/**
 * The life of one `up` after everything is built: start, be ready, stay, stop, exit code.
 *
 * Partial failure keeps it running, because nothing is terminal; only a signal, `down` or the time
 * limit of `--timeout` ends it.
 */
import { exitCode } from '../error/codes.ts';
import { ReadinessError } from '../error/readiness-error.ts';
import type { Executor } from '../executor/executor-api.ts';
import { onAbort } from '../kernel/abort.ts';
import type { Clock } from '../kernel/clock.ts';
import { formatDurationMs } from '../kernel/duration.ts';
import { isUp, type UnitSnapshot } from '../unit/state.ts';
import { watchMainUnit } from './exit-with.ts';
import { askedFor, overBudget, type StopRequests } from './stop-requests.ts';

const notInTime = 'not ready in time';
const hurried = 'in a hurry: what still runs is killed at once; one signal more leaves it as it is';

export interface SuperviseOptions {
  readonly executor: Executor;
  /** Units asked for; everything when empty. */
  readonly units: readonly string[];
  /** Of everything: which are not wanted until something needs them. */
  rests(unit: string): boolean;
  readonly clock: Clock;
  /** Not ready by then: everything is stopped and the exit code is 4. */
  readonly timeoutMs?: number | undefined;
  /** Called the first time that everything is ready. */
  onReady(elapsedMs: number): void;
  /** Told why it was not ready in time, one error for each root cause. */
  onNotReady(errors: readonly Error[]): void;
  readonly stopper: StopRequests;
  /** `--exit-with`: when this unit has ended for good, everything is stopped. */
  readonly mainUnit?: string | undefined;
}

const nothing: Disposable = { [Symbol.dispose]: () => undefined };

/** Runs until it is told to stop; everything is gone when it resolves, with the exit code. */
export async function supervise(options: SuperviseOptions): Promise<number> {
  const { executor, units, clock, timeoutMs, stopper, mainUnit } = options;
  let wasReady = false as boolean;
  const notReady = () => {
    // It may have become so, and only be told late.
    executor.events.flush();
    if (!wasReady) stopper.request({ reason: notInTime });
  };
  using limit = timeoutMs === undefined ? nothing : clock.timer(timeoutMs, notReady);
  using _events = executor.events.subscribe({
    onEvent({ event }) {
      if (event.type !== 'up.ready' || wasReady) return;
      wasReady = true;
      limit[Symbol.dispose]();
      options.onReady(event.elapsedMs);
    },
  });
  let mainCode: number | undefined;
  let mainEnd: string | undefined;
  using _main =
    mainUnit === undefined
      ? nothing
      : watchMainUnit({
          unit: mainUnit,
          events: executor.events,
          onEnded(code, reason) {
            [mainCode, mainEnd] = [code, reason];
            stopper.request({ reason });
          },
        });

  const { rests } = options;
  if (!stopper.isRequested) executor.start(units.length === 0 ? undefined : units, { rests });
  const reason = await stopper.requested;
  limit[Symbol.dispose]();
  if (reason === notInTime) options.onNotReady(reasonsNotReady(executor.snapshots(), timeoutMs ?? 0));
  using _hurried = onAbort(stopper.hurry, () => {
    executor.events.emit({ type: 'notice', level: 'info', text: hurried });
  });
  const { leftovers } = await executor.stop({ reason, hurry: stopper.hurry });
  executor.events.flush();
  if (leftovers.length > 0) return exitCode.bug;
  if (reason === notInTime || reason === overBudget) return exitCode.notReady;
  if (mainCode !== undefined && reason === mainEnd) return mainCode;
  if (wasReady || reason === askedFor) return exitCode.ok;
  return reason === 'SIGINT' ? exitCode.interrupted : exitCode.terminated;
}

/** Every unit that is not up, root causes first; the blocked ones carry their chain. */
function reasonsNotReady(snapshots: readonly UnitSnapshot[], timeoutMs: number): readonly Error[] {
  const missing = snapshots.filter(({ desired, state }) => desired === 'up' && !isUp(state));
  const failing = missing.filter(({ state, lastError }) => lastError !== undefined && state !== 'blocked');
  const blocked = missing.filter(({ state }) => state === 'blocked');
  const told = [...failing, ...blocked].flatMap(({ lastError }) => (lastError === undefined ? [] : [lastError]));
  return told.length > 0
    ? told
    : missing.filter(({ state }) => state === 'starting').map((unit) => lateError(unit, timeoutMs));
}

function lateError({ unit, generation, state }: UnitSnapshot, timeoutMs: number): ReadinessError {
  return new ReadinessError('ERR_NOT_READY', {
    component: unit,
    generation,
    check: '--timeout',
    phase: 'startup',
    reason: `still ${state} after ${formatDurationMs(timeoutMs)}`,
    attempts: [],
    attemptCount: 0,
    elapsedMs: timeoutMs,
    lastLogLines: [],
  });
}
