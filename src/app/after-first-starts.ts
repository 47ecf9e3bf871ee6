/**
 * For what is needed soon but takes long to load (the control socket's HTTP server): not while processes
 * are started one after another, because none of them is to wait for it.
 */
import type { EventStream } from '../event/stream.ts';
import type { Clock } from '../kernel/clock.ts';

/** Starts that follow each other faster belong together, in milliseconds: a load takes about as long. */
const pauseMs = 20;
/** How long somebody who asks may have to wait for an answer, in milliseconds. */
const withinMs = 300;

/** Resolves when processes run and no further one is started, or everything is ready, or it has been long enough. */
export function afterFirstStarts({ events, clock }: { events: EventStream; clock: Clock }): Promise<void> {
  return new Promise((resolve) => {
    let pause: Disposable | undefined;
    const end = () => {
      pause?.[Symbol.dispose]();
      limit[Symbol.dispose]();
      started[Symbol.dispose]();
      resolve();
    };
    const limit = clock.timer(withinMs, end);
    const started = events.subscribe({
      onEvent({ event }) {
        if (event.type === 'up.ready') end();
        if (event.type !== 'process.spawned') return;
        pause?.[Symbol.dispose]();
        pause = clock.timer(pauseMs, end);
      },
    });
  });
}
