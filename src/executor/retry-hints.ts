/**
 * Cheap reasons to try a failed unit again before its slow retry: a port that it claims has become
 * free, a file that it runs or claims has changed. Looked at only while a unit is in backoff or failed.
 *
 * A port is looked for in the kernel's table of listeners: at any address, and without a connection
 * that its holder would see.
 */
import type { ReadinessError } from '../error/readiness-error.ts';
import type { Clock } from '../kernel/clock.ts';
import { watchFile } from '../kernel/watch-file.ts';
import { tcpListeners } from '../probe/proc-sockets.ts';
import type { UnitSnapshot } from '../unit/state.ts';
import type { UnitRunner } from './unit-runner.ts';

/** Time between two looks at a port that was busy, in milliseconds. */
const portEveryMs = 500;

/** Watches one unit for as long as it is not disposed. */
export function watchForHints(clock: Clock, runner: UnitRunner): Disposable {
  let watching: Disposable | undefined;
  const subscription = runner.channel.subscribe(({ state }: UnitSnapshot) => {
    const isFailed = state === 'failed' || state === 'backoff';
    if (isFailed === (watching !== undefined)) return;
    watching?.[Symbol.dispose]();
    watching = isFailed ? watchUnit(clock, runner) : undefined;
  });
  return {
    [Symbol.dispose]: () => {
      subscription[Symbol.dispose]();
      watching?.[Symbol.dispose]();
    },
  };
}

function watchUnit(clock: Clock, runner: UnitRunner): Disposable {
  const { claims, run, kind } = runner.unit;
  const program = kind !== 'builtin' && run[0]?.startsWith('/') === true ? [run[0]] : [];
  const items = [
    ...(claims?.ports ?? []).map((port) => {
      const failedOnIt = failedOnPort(runner.channel.current.lastError, Number(port));
      return watchPort(clock, Number(port), failedOnIt, () => runner.retry());
    }),
    // Where it cannot be watched, the slow retry is left.
    ...[...program, ...(claims?.paths ?? [])].map((file) => watchFile(file, () => runner.retry())),
  ];
  return {
    [Symbol.dispose]: () => {
      for (const item of items) item?.[Symbol.dispose]();
    },
  };
}

/**
 * Calls `freed` when the port was busy and no longer is. It was busy if a look finds it so, or if the
 * failure says so (its holder may have gone before the first look).
 */
function watchPort(clock: Clock, port: number, failedOnIt: boolean, freed: () => void): Disposable {
  let wasBusy = failedOnIt;
  let timer: Disposable | undefined;
  const lookLater = () => {
    timer = clock.timer(portEveryMs, look);
  };
  const look = () => {
    const isBusy = tcpListeners(port).next().done !== true;
    // Free from the start: a retry would have been of no help a moment ago and is none now.
    if (!isBusy && wasBusy) freed();
    if (!isBusy) return;
    wasBusy = true;
    lookLater();
  };
  // Not at once after such a failure: a unit that always fails so must not be retried in a circle.
  if (failedOnIt) lookLater();
  else look();
  return {
    [Symbol.dispose]: () => timer?.[Symbol.dispose](),
  };
}

function failedOnPort(error: ReadinessError | undefined, port: number): boolean {
  const reason = error?.detail.reason ?? '';
  return /address already in use|EADDRINUSE/i.test(reason) && new RegExp(`\\b${String(port)}\\b`).test(reason);
}
