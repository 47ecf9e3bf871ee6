/**
 * For what reads the whole stream of events but must not cost a start anything (the log, the
 * metrics): it is opened when everything is ready, after a second, or when half of the ring is
 * full, and then reads from the ring what has happened until then.
 */
import type { EventStream } from '../event/stream.ts';
import type { Clock } from '../kernel/clock.ts';

/** A start that takes longer than this is followed while it runs, in milliseconds. */
const afterMs = 1000;

/** Calls `open` once; disposing before gives it up. */
export function afterStart({ events, clock }: { events: EventStream; clock: Clock }, open: () => void): Disposable {
  const end = () => {
    watch[Symbol.dispose]();
    timer[Symbol.dispose]();
  };
  const begin = () => {
    end();
    open();
  };
  const timer = clock.timer(afterMs, begin);
  const watch = events.subscribe({
    onEvent({ event, seq }) {
      if (event.type === 'up.ready' || seq > events.capacity / 2) begin();
    },
  });
  return { [Symbol.dispose]: end };
}
