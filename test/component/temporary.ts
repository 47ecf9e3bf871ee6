/** Temporary folders and small programs for the tests of components. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export interface TemporaryFolder extends Disposable {
  readonly path: string;
  /** Writes a file (folders made) and returns its path. */
  write(name: string, content: string): string;
  /** Writes an executable script that prints `output`. */
  program(name: string, output: string): string;
}

export function temporaryFolder(): TemporaryFolder {
  const folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-component-'));
  const write = (name: string, content: string) => {
    const file = path.join(folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, content);
    return file;
  };
  return {
    path: folder,
    write,
    program(name, output) {
      const file = write(name, `#!/bin/sh\necho run >> '${folder}/runs'\necho '${output}'\n`);
      chmodSync(file, 0o755);
      return file;
    },
    [Symbol.dispose]: () => {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
