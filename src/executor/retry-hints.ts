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
  const files = filesOf(runner.unit);
  /** What its files were when the last try began: what changed while it was tried may be what it lacked. */
  let tried: string | undefined;
  const subscription = runner.channel.subscribe(({ state }: UnitSnapshot) => {
    const isFailed = state === 'failed' || state === 'backoff';
    if (isFailed === (watching !== undefined)) return;
    if (isFailed) {
      watching = watchUnit(clock, runner, files, tried);
      return;
    }
    watching?.[Symbol.dispose]();
    watching = undefined;
    tried = stateOf(files);
  });
  return {
    [Symbol.dispose]: () => {
      subscription[Symbol.dispose]();
      watching?.[Symbol.dispose]();
    },
  };
}

function filesOf({ claims, run, kind }: UnitRunner['unit']): readonly string[] {
  const program = kind !== 'builtin' && run[0]?.startsWith('/') === true ? [run[0]] : [];
  return [...program, ...(claims?.paths ?? [])];
}

function watchUnit(clock: Clock, runner: UnitRunner, files: readonly string[], tried: string | undefined): Disposable {
  let settled: Disposable | undefined;
  const changed = () => {
    settled?.[Symbol.dispose]();
    settled = clock.timer(fileSettledMs, () => runner.retry());
  };
  const items = [
    ...(runner.unit.claims?.ports ?? []).map((port) => {
      const failedOnIt = failedOnPort(runner.channel.current.lastError, Number(port));
      return watchPort(clock, Number(port), failedOnIt, () => runner.retry());
    }),
    // Where it cannot be watched, the slow retry is left.
    ...files.map((file) => watchFile(file, changed)),
  ];
  if (tried !== undefined && stateOf(files) !== tried) changed();
  return {
    [Symbol.dispose]: () => {
      settled?.[Symbol.dispose]();
      for (const item of items) item?.[Symbol.dispose]();
    },
  };
}

/** The same text as long as none of them appears, goes or changes. */
function stateOf(files: readonly string[]): string {
  return files
    .map((file) => {
      const found = statSync(file, { bigint: true, throwIfNoEntry: false });
      return found === undefined ? '' : [found.ino, found.size, found.mode, found.mtimeNs, found.ctimeNs].join(':');
    })
    .join(' ');
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
