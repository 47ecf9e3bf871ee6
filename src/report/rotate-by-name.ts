/**
 * Keeps a log of our own from growing for ever: renames it and lets its writer open a new one. Nothing
 * is copied and no line is lost; unlike a unit's log, its only writer is ours.
 */
import { renameSync, statSync } from 'node:fs';

/** The part of pino's destination (SonicBoom) that is needed. */
export interface ReopenableLog {
  on(event: 'write', listener: (bytes: number) => void): unknown;
  reopen(): void;
}

export interface RotationLimits {
  /** Size from which on the file is put aside, in bytes. */
  readonly maxBytes: number;
  /** Files kept, the one being written included; at least 2. */
  readonly maxFiles: number;
}

/** Source: the default of the units' logs (process/log-file.ts). */
const defaultLimits: RotationLimits = { maxBytes: 10 << 20, maxFiles: 3 };

/** @param failed - told once when the file cannot be renamed; it then goes on growing */
export function rotateByName(
  log: ReopenableLog,
  file: string,
  failed: (error: Error) => void,
  { maxBytes, maxFiles }: RotationLimits = defaultLimits,
): void {
  let size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  let isBroken = false;
  log.on('write', (bytes) => {
    size += bytes;
    if (size < maxBytes || isBroken) return;
    try {
      for (let number = maxFiles - 2; number >= 1; number -= 1) {
        const older = `${file}.${String(number)}`;
        if (statSync(older, { throwIfNoEntry: false }) !== undefined)
          renameSync(older, `${file}.${String(number + 1)}`);
      }
      renameSync(file, `${file}.1`);
      size = 0;
      log.reopen();
    } catch (error) {
      isBroken = true;
      failed(error as Error);
    }
  });
}
