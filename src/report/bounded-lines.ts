/**
 * Lines to a stream whose reader may be slow or gone: so many bytes wait for it, what comes beyond is
 * dropped and counted, and the count is written when it reads again. Nobody who writes ever waits.
 */
export interface LineStream {
  readonly writable: boolean;
  readonly writableLength: number;
  write(text: string): boolean;
  on(event: 'drain', listener: () => void): unknown;
  off(event: 'drain', listener: () => void): unknown;
}

export interface BoundedLinesOptions {
  readonly stream: LineStream;
  /** Bytes that may wait for the reader. */
  readonly maxWaitingBytes?: number;
  /** What is written for lines that were dropped, with the line break. */
  droppedLine(count: number): string;
}

export interface BoundedLines extends Disposable {
  /** With the line break. */
  write(line: string): void;
}

/** A burst of a start (some thousand lines) fits. */
const defaultMaxWaitingBytes = 1024 * 1024;

export function boundedLines({
  stream,
  maxWaitingBytes = defaultMaxWaitingBytes,
  droppedLine,
}: BoundedLinesOptions): BoundedLines {
  let dropped = 0;
  const tellDropped = () => {
    if (dropped === 0 || !stream.writable) return;
    const count = dropped;
    dropped = 0;
    stream.write(droppedLine(count));
  };
  stream.on('drain', tellDropped);
  return {
    write(line) {
      if (!stream.writable) return;
      // Once something is dropped, all is until the reader has caught up: no holes that nobody counts.
      if (dropped > 0 || stream.writableLength > maxWaitingBytes) dropped += 1;
      else stream.write(line);
    },
    [Symbol.dispose]: () => {
      tellDropped();
      stream.off('drain', tellDropped);
    },
  };
}
