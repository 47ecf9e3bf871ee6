/** Runs something that is to go on for ever, like a watch, again and again; what ends it is told. */
import { sleep, type Clock } from '../kernel/clock.ts';
import { messageOf } from '../kernel/message-of.ts';

export interface KeepFollowingOptions {
  readonly pauseMs: number;
  readonly clock: Clock;
  /** Why it ended; undefined: it ended well. */
  readonly onEnd: (fault: string | undefined) => void;
  readonly signal: AbortSignal;
}

/** Resolves when the signal aborts. */
export async function keepFollowing(
  run: (end: AbortSignal) => Promise<void>,
  options: KeepFollowingOptions,
): Promise<void> {
  const { pauseMs, clock, onEnd, signal } = options;
  const isOver = () => signal.aborted;
  while (!isOver()) {
    try {
      await run(signal);
      onEnd(undefined);
    } catch (error) {
      if (isOver()) return;
      onEnd(messageOf(error));
    }
    await sleep(clock, pauseMs, signal).catch(() => undefined);
  }
}
