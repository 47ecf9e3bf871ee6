/** One stop of a process at a time, however many ask for it. */
import { abortError, onAbort } from '../kernel/abort.ts';
import type { RunningProcess, StopStep } from './process-port.ts';

export type StopOptions = Parameters<RunningProcess['stop']>[0];

/** A second caller joins the stop that is under way: its `hurry` hurries it, the steps to come are told to both. */
export function joinStops(end: (options: StopOptions) => Promise<readonly number[]>): RunningProcess['stop'] {
  let current: Promise<readonly number[]> | undefined;
  let listeners: StopStep[] = [];
  let hurry = new AbortController();
  return ({ hurry: askedToHurry, onStep }) => {
    if (current === undefined) {
      hurry = new AbortController();
      listeners = [];
    }
    if (onStep !== undefined) listeners.push(onStep);
    const link =
      askedToHurry &&
      onAbort(askedToHurry, () => {
        hurry.abort(abortError(askedToHurry));
      });
    current ??= end({
      hurry: hurry.signal,
      onStep: (signal, remaining) => {
        for (const listener of listeners) listener(signal, remaining);
      },
    }).finally(() => {
      current = undefined;
    });
    return current.finally(() => link?.[Symbol.dispose]());
  };
}
