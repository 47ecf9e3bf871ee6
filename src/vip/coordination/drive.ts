/**
 * Drives a pure machine: gives it one input after the other, performs what each step says before the
 * next, and wakes it when it wants to be woken. What it decides and what is done about it is elsewhere.
 */
import type { Clock } from '../../kernel/clock.ts';
import { oneByOne } from '../../kernel/one-by-one.ts';

export interface MachineStep<State, Effect> {
  readonly state: State;
  readonly effects: readonly Effect[];
  /** Of the monotonic clock; undefined, or infinitely far: by an input only. */
  readonly wakeAtMs: number | undefined;
}

export interface DriveOptions<State, Input, Effect> {
  readonly initial: State;
  readonly step: (state: State, input: Input | { readonly type: 'wake' }) => MachineStep<State, Effect>;
  readonly perform: (effect: Effect) => void;
  readonly clock: Clock;
}

export interface DrivenMachine<State, Input> extends Disposable {
  give(input: Input): void;
  readonly state: State;
}

/** Disposed, it is not woken any more until the next input. */
export function drive<State, Input extends object, Effect>(
  options: DriveOptions<State, Input, Effect>,
): DrivenMachine<State, Input> {
  const { step, perform, clock } = options;
  let state = options.initial;
  let timer: Disposable | undefined;
  const wakeAt = (atMs: number | undefined) => {
    timer?.[Symbol.dispose]();
    timer = undefined;
    if (atMs === undefined || !Number.isFinite(atMs)) return;
    // What is due already is so in a later turn, never in a tight loop.
    timer = clock.timer(Math.max(atMs - clock.monotonicMs(), 1), () => give({ type: 'wake' }));
  };
  const give = oneByOne((input: Input | { readonly type: 'wake' }) => {
    const next = step(state, input);
    state = next.state;
    wakeAt(next.wakeAtMs);
    for (const effect of next.effects) perform(effect);
  });
  return {
    give,
    get state() {
      return state;
    },
    [Symbol.dispose]: () => wakeAt(undefined),
  };
}
