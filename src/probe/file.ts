/** file: a file exists. Its folder is watched, so that it is noticed when it appears. */
import { existsSync } from 'node:fs';
import { watchFile } from '../kernel/watch-file.ts';
import { ProbeFailure, type Probe } from './probe.ts';

export function fileProbe(path: string): Probe {
  return {
    describe: () => `file ${path}`,
    // A look costs microseconds, and the watch sees nothing while the folder itself does not exist.
    pace: { kind: 'eager', capMs: 10, forMs: 5_000 },
    // Where it cannot be watched any more, the attempts go on by time.
    onHint: (wake) => watchFile(path, () => wake('file')) ?? { [Symbol.dispose]: () => undefined },
    check() {
      return existsSync(path) ? Promise.resolve() : Promise.reject(new ProbeFailure('does not exist yet'));
    },
  };
}
