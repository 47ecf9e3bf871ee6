/**
 * The log of one unit as others see it: the lines of the present generation, and those that come.
 * The file is watched (inotify) and read only while somebody follows it.
 */
import { fstatSync, type FSWatcher, statfsSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import { formatBytes } from '../kernel/bytes.ts';
import type { Clock } from '../kernel/clock.ts';
import { lineSplitter } from './line-splitter.ts';
import { type LogFile, type LogLimits, openLogFile } from './log-file.ts';
import type { LogSource } from './process-port.ts';

export interface UnitLog extends LogSource, Disposable {
  /** Begins a generation and opens the file for its output, which begins at `size`. The caller closes it. */
  begin(): { readonly fd: number; readonly size: number };
  /** Goes on with a generation that an earlier k3s-lite began, when the file had `size` bytes (default: as many as now). */
  resume(size?: number): void;
  /** The main process has ended: an unterminated last line counts from now on. */
  finish(): void;
  append(text: string | Buffer): void;
  /** Position after the last byte; grows while something writes. */
  end(): number;
  /** Never rejects. */
  rotateIfLarge(): Promise<void>;
}

export interface UnitLogOptions {
  readonly path: string;
  readonly limits: LogLimits;
  readonly clock: Clock;
  /** Told when a listener throws: it gets no more lines. */
  readonly notice: (text: string) => void;
}

const chunkBytes = 64 * 1024;
/** Read in one turn of the event loop; the rest in the next one. */
const chunksPerTurn = 4;
const pollMs = 200;

/** What a program says of a full disk, because its own words of that have no room. Its files usually lie where its log lies. */
function noRoomFor(path: string): string | undefined {
  try {
    const { bavail, ffree, files } = statfsSync(dirname(path));
    const isFull = bavail === 0 || (files > 0 && ffree === 0);
    return isFull ? `no space left on device: ${path} lacks what was written last` : undefined;
  } catch {
    return undefined; // The folder is gone: that is told elsewhere.
  }
}

export function openUnitLog({ path, limits, clock, notice }: UnitLogOptions): UnitLog {
  const file = openLogFile(path, limits);
  const listeners = new Set<(line: string) => void>();
  // What earlier runs of k3s-lite wrote is not of the present generation.
  let generationStart = file.end();
  let isFinished = true;
  let tail: Tail | undefined;

  const deliver = (line: string) => {
    for (const listener of [...listeners]) {
      try {
        listener(line);
      } catch (error) {
        listeners.delete(listener);
        notice(`internal error: a reader of ${path} failed and was detached: ${String(error)}`);
      }
    }
  };

  let isRotationBroken = false;
  const rotateIfLarge = async () => {
    try {
      const dropped = await file.rotateIfLarge();
      isRotationBroken = false;
      if (dropped > 0) notice(`no room to rotate ${path}: its oldest ${formatBytes(dropped)} were dropped`);
    } catch (error) {
      if (!isRotationBroken) notice(`cannot rotate ${path}: ${String(error)}`);
      isRotationBroken = true;
    }
  };

  return {
    begin() {
      const fd = file.openForAppend();
      const { size } = fstatSync(fd);
      generationStart = file.start() + size;
      isFinished = false;
      tail?.reset();
      return { fd, size };
    },
    resume(size = file.end()) {
      // Smaller than it was: rotated since, and all that is in it was written by this generation.
      generationStart = size <= file.end() ? size : file.start();
      isFinished = false;
    },
    finish() {
      isFinished = true;
      tail?.finish();
    },
    append(text) {
      file.append(Buffer.from(text));
    },
    end: file.end,
    rotateIfLarge,
    last(count) {
      if (count < 1) return [];
      // Truncated by somebody else: what is there now was written since.
      if (generationStart > file.end()) generationStart = file.start();
      return file.last(count, generationStart, isFinished);
    },
    missing: () => noRoomFor(path),
    follow(listener) {
      // A function of its own, so that the same listener may follow twice.
      const own = (line: string) => {
        listener(line);
      };
      listeners.add(own);
      tail ??= startTail({
        file,
        from: file.endOfLines(generationStart),
        clock,
        deliver,
        onDrained: () => void rotateIfLarge(),
      });
      return {
        [Symbol.dispose]() {
          listeners.delete(own);
          if (listeners.size > 0) return;
          tail?.[Symbol.dispose]();
          tail = undefined;
        },
      };
    },
    [Symbol.dispose]() {
      listeners.clear();
      tail?.[Symbol.dispose]();
      tail = undefined;
    },
  };
}

interface Tail extends Disposable {
  /** Delivers all that is there, an unterminated last line too. */
  finish(): void;
  /** A new generation begins: delivers what was written before it. */
  reset(): void;
}

interface TailOptions {
  readonly file: LogFile;
  readonly from: number;
  readonly clock: Clock;
  readonly deliver: (line: string) => void;
  readonly onDrained: () => void;
}

function startTail({ file, from, clock, deliver, onDrained }: TailOptions): Tail {
  const buffer = Buffer.allocUnsafe(chunkBytes);
  const splitter = lineSplitter(deliver);
  let position = from;
  let scheduled: Disposable | undefined;
  let watcher: FSWatcher | undefined;
  let polling: Disposable | undefined;

  /** True if there may be more. */
  const readOnce = (): boolean => {
    // Truncated by somebody else, or removed and made anew: begin again at its start.
    if (file.end() < position) {
      position = file.start();
      splitter.reset();
    }
    const read = file.read(position, buffer);
    position += read;
    if (read > 0) splitter.push(buffer.subarray(0, read));
    // Rotated away more than once since the last look, or dropped: what is unterminated has no end.
    else if (position < file.start()) {
      splitter.flush();
      position = file.start();
    } else return false;
    return true;
  };
  const drain = () => {
    scheduled = undefined;
    for (let chunk = 0; chunk < chunksPerTurn; chunk += 1) {
      if (!readOnce()) {
        onDrained();
        return;
      }
    }
    schedule();
  };
  const drainAll = () => {
    while (readOnce());
  };
  const schedule = () => {
    scheduled ??= clock.soon(drain);
  };
  /** Without inotify (its limit of watches is reached, the file was removed) we look from time to time. */
  const poll = () => {
    polling = clock.timer(pollMs, () => {
      schedule();
      poll();
    });
  };
  const stopWatching = () => {
    watcher?.close();
    watcher = undefined;
    polling?.[Symbol.dispose]();
    polling = undefined;
  };
  const startWatching = () => {
    stopWatching();
    try {
      watcher = watch(file.path, { persistent: false }, (event) => {
        schedule();
        // Removed or renamed by somebody: the watch is on the old file.
        if (event === 'rename') startWatching();
      });
      watcher.on('error', () => {
        stopWatching();
        poll();
      });
    } catch {
      poll();
    }
  };

  startWatching();
  schedule();

  return {
    finish() {
      drainAll();
      splitter.flush();
    },
    reset() {
      drainAll();
      splitter.flush();
    },
    [Symbol.dispose]() {
      scheduled?.[Symbol.dispose]();
      stopWatching();
    },
  };
}
