/**
 * Events and log lines to a reader that may be slow: what it cannot take is counted, not kept.
 *
 * Events wait in the stream's own ring and are read from there when the reader has drained; the
 * stream says how many were overwritten meanwhile. Lines of a log have no such store: while the
 * reader is full they are counted and the count is told. So memory is bounded by the write buffer.
 */
import type { Writable } from 'node:stream';
import { envelopeJson } from '../event/envelope-json.ts';
import type { EventStream } from '../event/stream.ts';
import type { LogSource } from '../process/process-port.ts';

/** Ends what follows; nothing is left subscribed. Idempotent. */
export type StopFollowing = () => void;

/** Writes events from `sinceSeq` on, one line of JSON each; `{"dropped":n}` where some are missing. */
export function followEvents(events: EventStream, out: Writable, sinceSeq: number): StopFollowing {
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
          if (!out.write(`${envelopeJson(envelope)}\n`)) pause();
        },
        onDropped: (dropped) => void out.write(`${JSON.stringify({ dropped })}\n`),
      },
      { since: nextSeq },
    );
  };
  out.on('drain', resume);
  resume();
  return () => {
    out.off('drain', resume);
    pause();
  };
}

/** Writes the last `count` lines and then each new one. */
export function followLog(log: LogSource, out: Writable, count: number): StopFollowing {
  let isFull = false;
  let dropped = 0;
  const onDrain = () => {
    isFull = false;
    if (dropped === 0) return;
    const text = `(${String(dropped)} lines dropped: this reader is too slow)\n`;
    dropped = 0;
    isFull = !out.write(text);
  };
  const onLine = (line: string) => {
    if (isFull) dropped += 1;
    else isFull = !out.write(`${line}\n`);
  };
  out.on('drain', onDrain);
  const last = log.last(count);
  if (last.length > 0) isFull = !out.write(`${last.join('\n')}\n`);
  const following = log.follow(onLine);
  return () => {
    out.off('drain', onDrain);
    following[Symbol.dispose]();
  };
}
