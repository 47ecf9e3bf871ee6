/**
 * Makes a log file small without room for a copy of it: its newest lines are copied to its beginning,
 * into blocks that it has already, and the rest is cut off. A crash half-way leaves too much, not too
 * little, as long as what is kept is less than half of the file.
 *
 * What the writer adds between the last read and the cut,
 * some microseconds, is lost, as in any rotation of a file that its writer holds open.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';

export interface KeepNewestOptions {
  readonly path: string;
  /** At most so many bytes are kept, from the beginning of a line on if there is one. */
  readonly keptBytes: number;
  /** First line of what is left, for who reads it later: lines are missing before it. */
  noteOf(droppedBytes: number): string;
}

export interface Shrunk {
  readonly droppedBytes: number;
  /** How much nearer to the beginning of the file the kept bytes are. */
  readonly movedBytes: number;
}

const chunkBytes = 64 * 1024;

/** Undefined when there is nothing to gain. @throws the file system's error; nothing is lost then */
export function keepNewest({ path, keptBytes, noteOf }: KeepNewestOptions): Shrunk | undefined {
  const fd = openSync(path, 'r+');
  try {
    const buffer = Buffer.allocUnsafe(chunkBytes);
    const from = lineStart(fd, fstatSync(fd).size - keptBytes, buffer);
    const note = Buffer.from(`${noteOf(from)}\n`);
    if (from <= note.length) return undefined;
    let to = writeSync(fd, note, 0, note.length, 0);
    const movedBytes = from - to;
    for (;;) {
      const read = readSync(fd, buffer, 0, buffer.length, to + movedBytes);
      if (read === 0) break;
      to += writeSync(fd, buffer, 0, read, to);
    }
    ftruncateSync(fd, to);
    return { droppedBytes: from, movedBytes };
  } finally {
    closeSync(fd);
  }
}

/** Where the first line after `at` begins; `at` itself if none does within a chunk. */
function lineStart(fd: number, at: number, buffer: Buffer): number {
  if (at <= 0) return 0;
  const read = readSync(fd, buffer, 0, buffer.length, at - 1);
  return at + Math.max(0, buffer.subarray(0, read).indexOf(0x0a));
}
