/**
 * One log file and its older copies: appending, reading backwards, rotating.
 *
 * Positions are counted from the first byte that we know of, over rotations: a position of the
 * present generation stays valid when the file is truncated under its writer.
 *
 * Rotation copies and truncates, because the writer holds the file open. What it writes between the
 * end of the copy and the truncation, some microseconds, is lost; nothing else is.
 */
import {
  closeSync,
  constants,
  copyFile as copyFileCallback,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { promisify } from 'node:util';
import { dirname } from 'node:path';
import { decodeLine, maxLineBytes } from './line-splitter.ts';
import { errnoOf } from './spawn-error.ts';

// Not node:fs/promises, which takes longer to load than a unit to start.
const copyFile = promisify(copyFileCallback);

export interface LogFile {
  readonly path: string;
  /** Opens for appending (0600; it and its folder are made if missing). The caller closes it. */
  openForAppend(): number;
  append(bytes: Buffer): void;
  /** Position after the last byte. */
  end(): number;
  /** Bytes from `position` on, into `buffer`, from the newest older copy if they lie there; 0 at the end, or when they are gone. */
  read(position: number, buffer: Buffer): number;
  /** Position of the oldest byte that is still in the file itself. */
  start(): number;
  /** The last lines from `from` on, oldest first; an unterminated last one only if asked for. */
  last(count: number, from: number, withUnterminated: boolean): readonly string[];
  /** Position after the last newline, or `from`. */
  endOfLines(from: number): number;
  /** Copies and truncates when it is larger than the limit. Rejects when that fails; nothing is lost then. */
  rotateIfLarge(): Promise<void>;
}

export interface LogLimits {
  /** Size at which a file is rotated, in bytes (default 10 MiB). */
  readonly maxBytes: number;
  /** Files kept, the one being written included; at least 2 (default 3). */
  readonly maxFiles: number;
}

export const defaultLogLimits: LogLimits = { maxBytes: 10 << 20, maxFiles: 3 };

const chunkBytes = 64 * 1024;
/** The most that is read to find the last lines. */
const maxReadBack = 4 << 20;

export function openLogFile(path: string, { maxBytes, maxFiles }: LogLimits): LogFile {
  /** Position of the first byte of the file itself: what has been rotated away since we know it. */
  let base = 0;
  let rotating: Promise<void> | undefined;

  const size = () => {
    try {
      return statSync(path).size;
    } catch {
      return 0;
    }
  };
  const openForAppend = () => {
    try {
      return openSync(path, 'a', 0o600);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
      // Somebody has removed the folder: that must not keep a unit from starting.
      mkdirSync(dirname(path), { mode: 0o700 });
      return openSync(path, 'a', 0o600);
    }
  };
  const unfinished = `${path}.new`;
  const older = (number: number) => `${path}.${String(number)}`;

  /** Reads at a position, from the newest older copy too when it lies there. */
  const readAt = (position: number, buffer: Buffer): number => {
    const inFile = position >= base;
    try {
      const fd = openSync(inFile ? path : older(1), 'r');
      try {
        const offset = inFile ? position - base : fstatSync(fd).size - (base - position);
        return offset < 0 ? 0 : readSync(fd, buffer, 0, buffer.length, offset);
      } finally {
        closeSync(fd);
      }
    } catch {
      return 0;
    }
  };

  const readRange = (from: number, to: number): Buffer => {
    const bytes = Buffer.allocUnsafe(to - from);
    let length = 0;
    while (length < bytes.length) {
      const position = from + length;
      const limit = position < base ? Math.min(to, base) : to;
      const read = readAt(position, bytes.subarray(length, limit - from));
      if (read === 0) break;
      length += read;
    }
    return bytes.subarray(0, length);
  };

  const rotate = async () => {
    rmSync(unfinished, { force: true });
    await copyFile(path, unfinished, constants.COPYFILE_FICLONE);
    const from = openSync(path, 'r+');
    const to = openSync(unfinished, 'a', 0o600);
    try {
      // From here to the truncation nothing of ours runs in between; only the writer does.
      const buffer = Buffer.allocUnsafe(chunkBytes);
      let copied = fstatSync(to).size;
      for (;;) {
        const read = readSync(from, buffer, 0, buffer.length, copied);
        if (read === 0) break;
        writeSync(to, buffer, 0, read);
        copied += read;
      }
      ftruncateSync(from, 0);
      base += copied;
    } finally {
      closeSync(from);
      closeSync(to);
    }
    for (let number = maxFiles - 2; number >= 1; number -= 1) renameIfThere(older(number), older(number + 1));
    renameSync(unfinished, older(1));
  };

  return {
    path,
    openForAppend,
    append(bytes) {
      const fd = openForAppend();
      try {
        writeSync(fd, bytes);
      } finally {
        closeSync(fd);
      }
    },
    end: () => base + size(),
    start: () => base,
    read: readAt,
    last(count, from, withUnterminated) {
      const end = base + size();
      const blocks: Buffer[] = [];
      let start = end;
      let newlines = 0;
      // One newline more than lines: the one before the first of them.
      while (start > from && newlines <= count && end - start < maxReadBack) {
        const next = Math.max(from, start - chunkBytes);
        const block = readRange(next, start);
        blocks.unshift(block);
        newlines += countNewlines(block);
        start = next;
        if (block.length === 0) break;
      }
      const bytes = Buffer.concat(blocks);
      const lines = splitLines(bytes, withUnterminated);
      // The first one is whole only if the reading began where a line begins.
      if (start > from && lines.length > 1 && lines.length <= count) lines.shift();
      return lines.slice(-count).map((line) => decodeLine(line));
    },
    endOfLines(from) {
      const end = base + size();
      for (let to = end; to > from && end - to < maxLineBytes;) {
        const start = Math.max(from, to - chunkBytes);
        const at = readRange(start, to).lastIndexOf(0x0a);
        if (at >= 0) return start + at + 1;
        to = start;
      }
      return Math.max(from, end - maxLineBytes);
    },
    rotateIfLarge() {
      if (rotating === undefined && size() > maxBytes) {
        rotating = rotate()
          .catch((error: unknown) => {
            // Half a copy would take the very room that is missing.
            rmSync(unfinished, { force: true });
            throw error;
          })
          .finally(() => {
            rotating = undefined;
          });
      }
      return rotating ?? Promise.resolve();
    },
  };
}

function splitLines(bytes: Buffer, withUnterminated: boolean): Buffer[] {
  const lines: Buffer[] = [];
  let from = 0;
  for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, from)) {
    lines.push(bytes.subarray(from, at));
    from = at + 1;
  }
  if (withUnterminated && from < bytes.length) lines.push(bytes.subarray(from));
  return lines;
}

function countNewlines(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1)) count += 1;
  return count;
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch {
    // It is not there yet.
  }
}
