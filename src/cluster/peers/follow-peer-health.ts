/**
 * Follows what the heartbeats of this node show, for as long as a balancer runs: reads their file when
 * it changes, and now and then, for a file that nobody writes any more has to be noticed too.
 */
import type { Clock } from '../../kernel/clock.ts';
import { wakeablePause } from '../../kernel/wakeable-pause.ts';
import { watchFile } from '../../kernel/watch-file.ts';
import { readIfThere } from '../../kernel/stored-file.ts';
import { noHeartbeats, readPeerHealth, type Heartbeats } from './peer-health.ts';

export interface PeerHealthFile {
  readonly file: string;
  /** Of this machine. */
  readonly bootId: string;
  readonly clock: Clock;
}

/** What may be believed of it now. What cannot be read says nothing. */
export async function heartbeatsNow({ file, bootId, clock }: PeerHealthFile): Promise<Heartbeats> {
  const text = await readIfThere(file).catch(() => undefined);
  return readPeerHealth(text, { bootId, nowMs: clock.monotonicMs() });
}

export interface FollowPeerHealthOptions extends PeerHealthFile {
  /** Whenever it is another than before. */
  readonly onChange: (heartbeats: Heartbeats) => void;
  readonly signal: AbortSignal;
}

/** Between two looks without a hint; also how soon a file in a folder that was not there yet is found. */
const lookEveryMs = 1_000;

/** Runs until `signal` aborts, and then rejects with its reason. */
export async function followPeerHealth(options: FollowPeerHealthOptions): Promise<never> {
  const { file, clock, onChange, signal } = options;
  const pause = wakeablePause(clock, signal);
  let last = JSON.stringify(noHeartbeats);
  let watching: Disposable | undefined;
  try {
    for (;;) {
      pause.forgetHints();
      watching ??= watchFile(file, pause.wake, () => (watching = undefined));
      const heartbeats = await heartbeatsNow(options);
      const present = JSON.stringify(heartbeats);
      if (present !== last) onChange(heartbeats);
      last = present;
      await pause.wait(lookEveryMs);
    }
  } finally {
    watching?.[Symbol.dispose]();
  }
}
