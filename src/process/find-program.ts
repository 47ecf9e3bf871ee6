/**
 * Finds a program before it is spawned: what `spawn` says of a missing one is one word, ENOENT,
 * for a missing program, folder or interpreter alike, and it says it too late.
 */
import { accessSync, closeSync, constants, openSync, readSync, statSync } from 'node:fs';
import path from 'node:path';
import { errnoOf, spawnFailure } from './spawn-error.ts';

/** Used when the environment names none. Source: Debian's default PATH of root. */
const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Absolute path of a program. A name with a slash is taken from `cwd`, any other is looked for on `searchPath`.
 *
 * @throws an Error with code ENOENT (naming the folders searched) or EACCES (found, but not executable)
 */
export function findProgram(name: string, cwd: string, searchPath = defaultPath): string {
  if (name === '') throw spawnFailure('ENOENT', 'cannot run "": the program has no name');
  if (name.includes('/')) {
    const file = path.resolve(cwd, name);
    const problem = whyNotExecutable(file);
    if (problem === undefined) return file;
    throw problem === 'ENOENT'
      ? spawnFailure('ENOENT', `cannot run ${name}: ${file} does not exist`)
      : spawnFailure('EACCES', `cannot run ${name}: ${file} ${problem}`);
  }
  const folders = searchPath.split(':').filter((folder) => folder !== '');
  let refused: string | undefined;
  for (const folder of folders) {
    const file = path.resolve(cwd, folder, name);
    const problem = whyNotExecutable(file);
    if (problem === undefined) return file;
    if (problem !== 'ENOENT') refused ??= `${file} ${problem}`;
  }
  if (refused !== undefined) throw spawnFailure('EACCES', `cannot run ${name}: ${refused}`);
  throw spawnFailure('ENOENT', `cannot run ${name}: not found in PATH (searched ${folders.join(', ') || 'nothing'})`);
}

function whyNotExecutable(file: string): string | undefined {
  try {
    // Most folders of a PATH do not have it: no reason to throw.
    const stat = statSync(file, { throwIfNoEntry: false });
    if (stat === undefined) return 'ENOENT';
    if (stat.isDirectory()) return 'is a folder';
    accessSync(file, constants.X_OK);
    return undefined;
  } catch (error) {
    const code = errnoOf(error);
    return code === 'ENOENT' || code === 'ENOTDIR' ? 'ENOENT' : 'is not executable';
  }
}

/** @throws an Error with code ENOENT, ENOTDIR or EACCES that names the folder */
export function checkFolder(folder: string): void {
  try {
    if (!statSync(folder).isDirectory()) throw spawnFailure('ENOTDIR', `its working directory ${folder} is no folder`);
    accessSync(folder, constants.X_OK);
  } catch (error) {
    const code = errnoOf(error) ?? 'EUNKNOWN';
    if (code === 'ENOTDIR') throw error;
    const reason = code === 'ENOENT' ? 'does not exist' : 'cannot be entered';
    throw spawnFailure(code, `its working directory ${folder} ${reason}`, error);
  }
}

export interface FailedSpawn {
  /** The errno name, where it is known: Node.js tells it only in a later turn, and a launch has to say it at once. */
  readonly code?: string;
  readonly changesUser?: boolean;
}

/**
 * What is left after the checks above: a script whose interpreter is missing or that names none,
 * arguments that are too long, no right to change the user, a full process table.
 */
export function explainFailedSpawn(file: string, words: readonly string[], failed: FailedSpawn = {}): Error {
  const { code, changesUser = false } = failed;
  const interpreter = interpreterOf(file);
  if (interpreter !== undefined && whyNotExecutable(interpreter) !== undefined) {
    return spawnFailure('ENOENT', `cannot run ${file}: its interpreter ${interpreter} does not exist`);
  }
  const bytes = words.reduce((sum, word) => sum + Buffer.byteLength(word) + 1, 0);
  // Linux: 128 KiB for one string (MAX_ARG_STRLEN), a quarter of the 8 MiB stack for all. Source: execve(2).
  if (bytes > 2_000_000 || words.some((word) => Buffer.byteLength(word) >= 131_072)) {
    return spawnFailure('E2BIG', `cannot run ${file}: its arguments and environment are too long`);
  }
  if (changesUser && process.getuid?.() !== 0) {
    return spawnFailure('EPERM', `cannot run ${file}: only root can run a program as another user`);
  }
  if (code === 'ENOEXEC') {
    return spawnFailure(code, `cannot run ${file}: it is no program, and no script that begins with #!`);
  }
  return spawnFailure(
    code ?? 'EAGAIN',
    `cannot run ${file}: the system refused it (${code === undefined ? '' : `${code}: `}too many processes or open files, or its loader is missing)`,
  );
}

function interpreterOf(script: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(script, 'r');
  } catch {
    return undefined;
  }
  try {
    const head = Buffer.alloc(256);
    const length = readSync(fd, head, 0, head.length, 0);
    return /^#!\s*(\S+)/.exec(head.toString('latin1', 0, length))?.[1];
  } finally {
    closeSync(fd);
  }
}

/** One that may be missing. */
export function tryFindProgram(name: string, searchPath: string | undefined): string | undefined {
  try {
    return findProgram(name, '/', searchPath);
  } catch {
    return undefined;
  }
}
