/** Folders of our own. */
import { mkdirSync, statSync } from 'node:fs';
import path from 'node:path';

/**
 * A folder and those above it, as far as they are missing, for their owner alone. Step by step: where the kernel answers
 * ENOENT below a folder that is there (as /proc does), Node.js's recursive mkdirSync goes round for ever.
 *
 * @throws the file system's error
 */
export function makeFolderWithParents(folder: string): void {
  if (isFolder(folder)) return;
  const above = path.dirname(folder);
  if (above !== folder) makeFolderWithParents(above);
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    // Somebody else has just made it.
    if (!isFolder(folder)) throw error;
  }
}

function isFolder(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isDirectory() === true;
}
