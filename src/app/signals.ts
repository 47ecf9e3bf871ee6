/**
 * Signals of `up`: the first stops cleanly, the second hurries, the third kills. SIGHUP without a
 * terminal would end Node silently, so it stops too.
 */
const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
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
  return {
    [Symbol.dispose]: () => {
      for (const off of listeners) off();
    },
  };
}
