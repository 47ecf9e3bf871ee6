/**
 * Cheap reasons to try a failed unit again before its slow retry: a port that it claims has become
 * free, a file that it runs or claims has changed. Looked at only while a unit is in backoff or failed.
 *
 * A port is looked for in the kernel's table of listeners: at any address, and without a connection
 * that its holder would see.
 */
import { statSync } from 'node:fs';
import type { ReadinessError } from '../error/readiness-error.ts';
import type { Clock } from '../kernel/clock.ts';
import { watchFile } from '../kernel/watch-file.ts';
import { tcpListeners } from '../probe/proc-sockets.ts';
import type { UnitSnapshot } from '../unit/state.ts';
import type { UnitRunner } from './unit-runner.ts';

/** Time between two looks at a port that was busy, in milliseconds. */
const portEveryMs = 500;
/** A file that is being written cannot be run: so long nothing more has to come, in milliseconds. */
const fileSettledMs = 50;

/** Watches one unit for as long as it is not disposed. */
export function watchForHints(clock: Clock, runner: UnitRunner): Disposable {
  let watching: Disposable | undefined;
  /** What its program was when the last try began. Not what it claims: that it may have written itself. */
  let tried: string | undefined;
  const subscription = runner.channel.subscribe(({ state }: UnitSnapshot) => {
    if (state === 'starting') tried = identityOf(programOf(runner.unit));
    const isFailed = state === 'failed' || state === 'backoff';
    if (isFailed === (watching !== undefined)) return;
    watching?.[Symbol.dispose]();
    watching = undefined;
    if (!isFailed) return;
    const found = identityOf(programOf(runner.unit));
    watching = watchUnit(clock, runner, tried !== undefined && found !== tried);
    tried = found;
  });
  return {
    [Symbol.dispose]: () => {
      subscription[Symbol.dispose]();
      watching?.[Symbol.dispose]();
    },
  };
}

/** Undefined: it is looked for elsewhere, or there is none. */
function programOf({ run, kind }: UnitRunner['unit']): string | undefined {
  return kind !== 'builtin' && run[0]?.startsWith('/') === true ? run[0] : undefined;
}

/** @param isChanged - the program is another one than was tried */
function watchUnit(clock: Clock, runner: UnitRunner, isChanged: boolean): Disposable {
  const { claims } = runner.unit;
  const program = programOf(runner.unit);
  let settled: Disposable | undefined;
  const changed = () => {
    settled?.[Symbol.dispose]();
    settled = clock.timer(fileSettledMs, () => runner.retry());
  };
  const items = [
    ...(claims?.ports ?? []).map((port) => {
      const failedOnIt = failedOnPort(runner.channel.current.lastError, Number(port));
      return watchPort(clock, Number(port), failedOnIt, () => runner.retry());
    }),
    // Where it cannot be watched, the slow retry is left.
    ...[...(program === undefined ? [] : [program]), ...(claims?.paths ?? [])].map((file) => watchFile(file, changed)),
  ];
  if (isChanged) changed();
  return {
    [Symbol.dispose]: () => {
      settled?.[Symbol.dispose]();
      for (const item of items) item?.[Symbol.dispose]();
    },
  };
}

/** The same text as long as the file is not made, replaced or written to; empty where there is none to be seen. */
function identityOf(file: string | undefined): string {
  if (file === undefined) return '';
  try {
    const { dev, ino, size, mode, mtimeNs } = statSync(file, { bigint: true });
    return [dev, ino, size, mode, mtimeNs].join(':');
  } catch {
    return '';
  }
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
