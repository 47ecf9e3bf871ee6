/** Tells when a file appears, changes or goes. Its folder is watched: a file that is not there yet, or is replaced, cannot be. */
import { watch } from 'node:fs';
import path from 'node:path';

/**
 * @param onEnd - the folder was removed, or watches have run out: nothing is told any more
 * @returns undefined when that cannot be watched, as where the folder is not there either
 */
export function watchFile(file: string, changed: () => void, onEnd?: () => void): Disposable | undefined {
  try {
    const watcher = watch(path.dirname(file), { persistent: false }, (_event, name) => {
      if (name === null || name === path.basename(file)) changed();
    });
    watcher.on('error', () => {
      watcher.close();
      onEnd?.();
    });
    return { [Symbol.dispose]: () => watcher.close() };
  } catch {
    return undefined;
  }
}
