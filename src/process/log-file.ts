/**
 * One log file and its older copies: appending, reading backwards, rotating.
 *
 * Positions are counted from the first byte that we know of, over rotations: a position of the
 * present generation stays valid when the file is truncated under its writer.
 *
 * Rotation copies and truncates, because the writer holds the file open. What it writes between the
 * end of the copy and the truncation, some microseconds, is lost; nothing else is, unless the disk has
 * no room for the copy: then the newest lines are kept and the others dropped (keep-newest.ts), which
 * is said, in the file too.
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
import { formatBytes } from '../kernel/bytes.ts';
import { keepNewest } from './keep-newest.ts';
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
  /**
   * Copies and truncates when it is larger than the limit. Rejects when that fails; nothing is lost then.
   *
   * @returns bytes that were dropped, because there was no room for a copy
   */
  rotateIfLarge(): Promise<number>;
}

export interface LogLimits {
  /** Size at which a file is rotated, in bytes (default 10 MiB). */
  readonly maxBytes: number;
  /** Files kept, the one being written included; at least 2 (default 3). */
  readonly maxFiles: number;
}

export const defaultLogLimits: LogLimits = { maxBytes: 10 << 20, maxFiles: 3 };

const chunkBytes = 64 * 1024;
/** A full disk, or a full share of it. */
const noRoom: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT']);
/** Kept of a file that there is no room to copy; of a smaller limit, a quarter. */
const maxKeptBytes = 1 << 20;
/** The most that is read to find the last lines. */
const maxReadBack = 4 << 20;

export function openLogFile(path: string, { maxBytes, maxFiles }: LogLimits): LogFile {
  /** Position of the first byte of the file itself: what has been rotated away since we know it. */
  let base = 0;
  /** Position after the last byte of the newest older copy; before `base` when something between was dropped. */
  let olderEnd = 0;
  let rotating: Promise<number> | undefined;

  const size = () => {
    try {
      // At a first start there is none yet: no reason to throw.
      return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
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
    if (!inFile && position >= olderEnd) return 0;
    try {
      const fd = openSync(inFile ? path : older(1), 'r');
      try {
        const offset = inFile ? position - base : fstatSync(fd).size - (olderEnd - position);
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
      const limit = position < olderEnd ? Math.min(to, olderEnd) : to;
      const read = readAt(position, bytes.subarray(length, limit - from));
      if (read === 0) break;
      length += read;
    }
    return bytes.subarray(0, length);
  };

  const rotate = async () => {
    rmSync(unfinished, { force: true });
    // It is to go anyway, and the copy may need its room.
    rmSync(older(maxFiles - 1), { force: true });
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
      olderEnd = base;
    } finally {
      closeSync(from);
      closeSync(to);
    }
    for (let number = maxFiles - 2; number >= 1; number -= 1) renameIfThere(older(number), older(number + 1));
    renameSync(unfinished, older(1));
  };

  /** @returns bytes dropped */
  const dropOldest = (): number => {
    const shrunk = keepNewest({
      path,
      keptBytes: Math.min(maxKeptBytes, Math.floor(maxBytes / 4)),
      noteOf: (bytes) =>
        `k3s-lite: ${formatBytes(bytes)} before this line were dropped: the disk had no room to keep them`,
    });
    base += shrunk?.movedBytes ?? 0;
    return shrunk?.droppedBytes ?? 0;
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
    last(count, wantedFrom, withUnterminated) {
      const end = base + size();
      if (count === 0) return [];
      // What was dropped has lines of nobody before it.
      const from = olderEnd < base ? Math.max(wantedFrom, base) : wantedFrom;
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
          .then(() => 0)
          .catch((error: unknown) => {
            // Half a copy would take the very room that is missing.
            rmSync(unfinished, { force: true });
            if (!noRoom.has(errnoOf(error) ?? '')) throw error;
            return dropOldest();
          })
          .finally(() => {
            rotating = undefined;
          });
      }
      return rotating ?? Promise.resolve(0);
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
