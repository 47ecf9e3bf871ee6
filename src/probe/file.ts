/** file: a file exists. Its folder is watched, so that it is noticed when it appears. */
import { existsSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import { ProbeFailure, type Probe } from './probe.ts';

export function fileProbe(path: string): Probe {
  return {
    describe: () => `file ${path}`,
    // A look costs microseconds, and the watch sees nothing while the folder itself does not exist.
    pace: { kind: 'eager', capMs: 10, forMs: 5_000 },
    onHint(wake) {
      try {
        const watcher = watch(dirname(path), { persistent: false }, (_event, name) => {
          if (name === null || name === basename(path)) wake('file');
        });
        // The folder was removed, or watches have run out: the attempts go on by time.
        watcher.on('error', () => {
          watcher.close();
        });
        return { [Symbol.dispose]: () => watcher.close() };
      } catch {
        return { [Symbol.dispose]: () => undefined };
      }
    },
    check() {
      return existsSync(path) ? Promise.resolve() : Promise.reject(new ProbeFailure('does not exist yet'));
    },
  };
}
