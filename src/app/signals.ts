/**
 * Signals of `up`: the first stops cleanly, the second hurries, the third kills. SIGHUP without a
 * terminal and SIGQUIT would end Node and leave the units behind, so they stop too. SIGUSR2 is reserved
 * for a dump of the state and ignored until then.
 */
const names = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;
export type StopSignal = (typeof names)[number];

/** Calls `onSignal` with each signal and how many came so far. */
export function listenForSignals(onSignal: (signal: StopSignal, count: number) => void): Disposable {
  let count = 0;
  const listeners = names.map((name) => {
    const listener = () => {
      count += 1;
      onSignal(name, count);
    };
    process.on(name, listener);
    return () => process.off(name, listener);
  });
  const ignore = () => undefined;
  process.on('SIGUSR2', ignore);
  return {
    [Symbol.dispose]: () => {
      process.off('SIGUSR2', ignore);
      for (const off of listeners) off();
    },
  };
}
