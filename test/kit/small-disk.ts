/** A file system of a few MiB, to be filled by a test. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

export interface SmallDisk extends Disposable {
  /** Neither a byte nor a file more. */
  fill(): void;
  free(): void;
}

/** Mounts a file system of its own on `folder`; for root. */
export function smallDisk(folder: string, sizeMiB: number): SmallDisk {
  mkdirSync(folder, { recursive: true });
  const options = `size=${String(sizeMiB)}m,nr_inodes=1000,mode=700`;
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'small', folder]);
  if (status !== 0) throw new Error(`mount: ${stderr.toString()}`);
  const ballast = path.join(folder, 'ballast');
  return {
    fill() {
      mkdirSync(ballast);
      const bytes = path.join(ballast, 'bytes');
      for (const size of [1 << 20, 1 << 12]) untilFull(() => writeFileSync(bytes, Buffer.alloc(size), { flag: 'a' }));
      untilFull((number) => writeFileSync(path.join(ballast, String(number)), ''));
    },
    free: () => rmSync(ballast, { recursive: true }),
    [Symbol.dispose]: () => void spawnSync('umount', ['--lazy', folder]),
  };
}

function untilFull(write: (number: number) => void): void {
  for (let number = 0; ; number += 1) {
    try {
      write(number);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return;
      throw error;
    }
  }
}
