/**
 * Events as JSON lines to a reader that may be slow: `up --json`, and followers on the control socket.
 *
 * Nothing is kept for a reader that is full: events wait in the stream's own ring and are read from
 * there when it has drained; the stream says how many were overwritten meanwhile. So memory is
 * bounded by the ring and one write buffer, and nobody waits.
 */
import type { Writable } from 'node:stream';
import { envelopeJson } from './envelope-json.ts';
import type { Envelope } from './event.ts';
import type { EventStream } from './stream.ts';

/** Writes events from `sinceSeq` on, one line each; `{"dropped":n}` where some are missing. Disposing ends it. */
export function writeEvents(events: EventStream, out: Writable, sinceSeq: number): Disposable {
  return writeLines(events, out, sinceSeq, envelopeJson);
}

/** The same of any stream; `lineOf` makes the line of an event. */
export function writeLines<E>(
  events: EventStream<E>,
  out: Writable,
  sinceSeq: number,
  lineOf: (envelope: Envelope<E>) => string,
): Disposable {
  let nextSeq = sinceSeq;
  let subscription: Disposable | undefined;
  const pause = () => {
    subscription?.[Symbol.dispose]();
    subscription = undefined;
  };
  const resume = () => {
    subscription ??= events.subscribe(
      {
        onEvent(envelope) {
          nextSeq = envelope.seq + 1;
          if (!out.write(`${lineOf(envelope)}\n`)) pause();
        },
        onDropped: (dropped) => void out.write(`${JSON.stringify({ dropped })}\n`),
      },
      { since: nextSeq },
    );
  };
  out.on('drain', resume);
  resume();
  return {
    [Symbol.dispose]: () => {
      out.off('drain', resume);
      pause();
    },
  };
}
