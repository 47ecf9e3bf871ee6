/** Files that are written whole or not at all, and only when they change. */
import { randomBytes } from 'node:crypto';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fsPromises } from './lazily.ts';

/** The file's text, or undefined when there is none. */
export async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await fsPromises().readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Writes beside the file and renames: a reader or a crash sees the old or the new text, never half of it. */
export async function writeAtomically(file: string, content: string | Uint8Array, mode: number): Promise<void> {
  const fresh = besides(file);
  try {
    await fsPromises().writeFile(fresh, content, { mode, flag: 'wx' });
    await fsPromises().rename(fresh, file);
  } catch (error) {
    await fsPromises()
      .unlink(fresh)
      .catch(() => undefined); // may not exist; the first error is the one to tell
    throw error;
  }
}

/** As `writeAtomically`, for what the first process waits for: a thread and the module that asks it take 5 ms. */
export function writeAtomicallySync(file: string, content: string, mode: number): void {
  const fresh = besides(file);
  try {
    writeFileSync(fresh, content, { mode, flag: 'wx' });
    renameSync(fresh, file);
  } catch (error) {
    rmSync(fresh, { force: true });
    throw error;
  }
}

const besides = (file: string) => `${file}.${randomBytes(4).toString('hex')}.new`;

/**
 * Makes its folder too, which is as private as the file.
 *
 * @returns true when the file was written, false when it already had this text
 */
export async function writeIfChanged(file: string, content: string, mode = 0o644): Promise<boolean> {
  if ((await readIfThere(file)) === content) return false;
  const isPrivate = (mode & 0o077) === 0;
  await fsPromises().mkdir(path.dirname(file), { recursive: true, mode: isPrivate ? 0o700 : 0o755 });
  await writeAtomically(file, content, mode);
  return true;
}
