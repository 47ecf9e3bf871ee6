/**
 * Signals of `up`: the first that asks it to stop stops cleanly, the second hurries, the third kills.
 * SIGHUP reloads, unless it came because the terminal went away: then it stops. SIGUSR2 dumps the
 * state (SIGUSR1 is Node's, for its inspector). docs/pid-1.md has the whole table.
 *
 * Listened to before the first process is spawned: to a PID 1 a signal without a listener means
 * nothing at all, and any other process is ended by it with its units left behind.
 */
import { closeSync, openSync } from 'node:fs';

const stopping = ['SIGINT', 'SIGTERM', 'SIGQUIT'] as const;
export type StopSignal = (typeof stopping)[number] | 'SIGHUP';

export interface SignalOptions {
  /** Called with each signal that asks to stop, and how many came so far. */
  onStop(signal: StopSignal, count: number): void;
  /** SIGHUP of somebody who means it. */
  onReload(): void;
  /** SIGUSR2 */
  onDump(): void;
  /** False: the terminal of a container comes and goes, and its SIGHUP is no reason to stop. */
  readonly stopsWithTerminal: boolean;
}

export function listenForSignals({ onStop, onReload, onDump, stopsWithTerminal }: SignalOptions): Disposable {
  const hadTerminal = stopsWithTerminal && hasTerminal();
  let count = 0;
  const stop = (signal: StopSignal) => {
    count += 1;
    onStop(signal, count);
  };
  const listeners: readonly (readonly [NodeJS.Signals, () => void])[] = [
    ...stopping.map((name) => [name, () => stop(name)] as const),
    ['SIGHUP', () => (hadTerminal && !hasTerminal() ? stop('SIGHUP') : onReload())],
    ['SIGUSR2', onDump],
  ];
  for (const [name, listener] of listeners) process.on(name, listener);
  return {
    [Symbol.dispose]: () => {
      for (const [name, listener] of listeners) process.off(name, listener);
    },
  };
}

/** A session whose terminal has hung up has none: opening it fails. Source: tty(4), ENXIO. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}
