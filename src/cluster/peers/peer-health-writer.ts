/**
 * Keeps the file of what the heartbeats show: writes it when something has changed, and again and
 * again, so that whoever reads it sees that somebody still looks.
 */
import type { Clock } from '../../kernel/clock.ts';
import { fileKeeper } from '../file-keeper.ts';
import { freshenEveryMs, peerHealthText } from './peer-health.ts';
import type { PeerHealth } from './peer-text.ts';

export interface PeerHealthWriter extends Disposable {
  /** Writes now; while that is under way, once more after it. */
  write(): void;
}

export interface PeerHealthWriterOptions {
  readonly file: string;
  readonly bootId: string;
  readonly clock: Clock;
  readonly all: () => readonly PeerHealth[];
}

export function peerHealthWriter({ file, bootId, clock, all }: PeerHealthWriterOptions): PeerHealthWriter {
  // A folder that is full keeps no heartbeat.
  const keeper = fileKeeper({ file, text: () => peerHealthText(all(), { bootId, nowMs: clock.monotonicMs() }) });
  let isOver = false;
  let timer: Disposable | undefined;
  const write = () => {
    if (isOver) return;
    timer?.[Symbol.dispose]();
    timer = clock.timer(freshenEveryMs, write);
    keeper.changed();
  };
  write();
  return {
    write,
    [Symbol.dispose]() {
      isOver = true;
      timer?.[Symbol.dispose]();
      keeper[Symbol.dispose]();
    },
  };
}
