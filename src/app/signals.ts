/**
 * Signals of `up`: the first that asks it to stop stops cleanly, the second hurries, the third kills.
 * docs/pid-1.md has the whole table.
 *
 * Listened to before the first process is spawned: to a PID 1 a signal without a listener means
 * nothing at all, and any other process is ended by it with its units left behind.
 */
const stopping = ['SIGINT', 'SIGTERM', 'SIGQUIT'] as const;
export type StopSignal = (typeof stopping)[number] | 'SIGHUP';

export interface SignalOptions {
  /** Called with each signal that asks to stop, and how many came so far. */
  onStop(signal: StopSignal, count: number): void;
  /** SIGHUP of somebody who means it; ignored without. */
  onReload?(): void;
  /** SIGUSR2; ignored without. */
  onDump?(): void;
  /** SIGHUP says that our terminal is gone, and stops. */
  readonly hasTerminal: boolean;
}

export function listenForSignals({ onStop, onReload, onDump, hasTerminal }: SignalOptions): Disposable {
  let count = 0;
  const stop = (signal: StopSignal) => () => {
    count += 1;
    onStop(signal, count);
  };
  const listeners: readonly (readonly [NodeJS.Signals, () => void])[] = [
    ...stopping.map((name) => [name, stop(name)] as const),
    ['SIGHUP', hasTerminal ? stop('SIGHUP') : () => onReload?.()],
    ['SIGUSR2', () => onDump?.()],
  ];
  for (const [name, listener] of listeners) process.on(name, listener);
  return {
    [Symbol.dispose]: () => {
      for (const [name, listener] of listeners) process.off(name, listener);
    },
  };
}
