/**
 * Signals of `up`. To stop: the first cleanly, the second in a hurry, the third kills. SIGHUP reloads,
 * unless it came because the terminal went away: then it stops, as SIGQUIT does, which would end Node
 * and leave the units behind. SIGUSR2 dumps the state (SIGUSR1 is Node's, for its inspector).
 */
import { closeSync, openSync } from 'node:fs';

const stopNames = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;
export type StopSignal = (typeof stopNames)[number];

export interface SignalListeners {
  /** Told each signal to stop, and how many came so far. */
  onStop(signal: StopSignal, count: number): void;
  onReload(): void;
  onDump(): void;
}

export function listenForSignals({ onStop, onReload, onDump }: SignalListeners): Disposable {
  const hadTerminal = hasTerminal();
  let count = 0;
  const stop = (signal: StopSignal) => {
    count += 1;
    onStop(signal, count);
  };
  const listeners = new Map<NodeJS.Signals, () => void>([
    ...stopNames.map((name) => [name, () => stop(name)] as const),
    ['SIGHUP', () => (hadTerminal && !hasTerminal() ? stop('SIGHUP') : onReload())],
    ['SIGUSR2', onDump],
  ]);
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
