/**
 * Lines of a unit's log to a reader that may be slow. While it is full, new lines are counted and
 * the count is told: a log has no ring to wait in, and memory stays bounded by the write buffer.
 */
import type { Writable } from 'node:stream';
import type { LogSource } from '../process/process-port.ts';

/** Writes the last `count` lines and then each new one. Disposing ends it; nothing is left subscribed. */
export function followLog(log: LogSource, out: Writable, count: number): Disposable {
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
  return {
    [Symbol.dispose]: () => {
      out.off('drain', onDrain);
      following[Symbol.dispose]();
    },
  };
}
