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

/**
 * Writes events from `sinceSeq` on, one line each; `{"dropped":n}` where some are missing. Disposing ends it.
 *
 * @param open called with the first line: making standard output costs a start 8 ms
 */
export function writeEvents(events: EventStream, open: () => Writable, sinceSeq: number): Disposable {
  return writeLines(events, open, sinceSeq, envelopeJson);
}

/** The same of any stream; `lineOf` makes the line of an event. */
export function writeLines<E>(
  events: EventStream<E>,
  open: () => Writable,
  sinceSeq: number,
  lineOf: (envelope: Envelope<E>) => string,
): Disposable {
  let nextSeq = sinceSeq;
  let subscription: Disposable | undefined;
  let opened: Writable | undefined;
  const write = (line: string): boolean => (opened ??= open().on('drain', resume)).write(`${line}\n`);
  const pause = () => {
    subscription?.[Symbol.dispose]();
    subscription = undefined;
  };
  const resume = () => {
    subscription ??= events.subscribe(
      {
        onEvent(envelope) {
          nextSeq = envelope.seq + 1;
          if (!write(lineOf(envelope))) pause();
        },
        onDropped: (dropped) => void write(JSON.stringify({ dropped })),
      },
      { since: nextSeq },
    );
  };
  resume();
  return {
    [Symbol.dispose]: () => {
      opened?.off('drain', resume);
      pause();
    },
  };
}
