/**
 * Keeps a file as something changing says: one write at a time, and what changes during one is in the next.
 * What cannot be written is told and stops nobody.
 */
import { writeIfChanged } from '../kernel/stored-file.ts';

export interface FileKeeper extends Disposable {
  /** It has changed: written now; while a write is under way, once more after it. */
  changed(): void;
}

export interface FileKeeperOptions {
  readonly file: string;
  /** Asked when a write begins. */
  readonly text: () => string;
  readonly onError?: (error: unknown) => void;
}

/** Mode 0600. Disposed it begins no further write. */
export function fileKeeper({ file, text, onError = () => undefined }: FileKeeperOptions): FileKeeper {
  let isWriting = false;
  let isStale = false;
  let isOver = false;
  const write = async () => {
    isWriting = true;
    while (isStale && !isOver) {
      isStale = false;
      await writeIfChanged(file, text(), 0o600).catch(onError);
    }
    isWriting = false;
  };
  return {
    changed() {
      isStale = true;
      if (!isWriting && !isOver) void write();
    },
    [Symbol.dispose]: () => void (isOver = true),
  };
}
