/**
 * Starts a process by the C library's posix_spawn, through FFI.
 *
 * Node.js forks: the kernel copies our page tables, and every page that we write to until the child
 * runs its program is copied too. That is 1 to 2 ms of a supervisor of 70 MB, more with each MB, and
 * it is most of what lies between "ready" and "its dependent runs". posix_spawn lends our memory to
 * the child instead: 0.2 ms, whatever our size. It also tells at once why a program cannot be run.
 *
 * Where it cannot be used (no FFI for this platform, a worker thread, another user) `spawn.ts` goes
 * through execa. Not here: what becomes of the process (`child-exits.ts`).
 */
import { errnoName, libc, type ForeignLibrary } from '../kernel/foreign.ts';
import { lazily } from '../kernel/lazily.ts';
import { type ChildWaits, childWaits } from './child-waits.ts';
import { errnoOf } from './spawn-error.ts';

export interface PosixSpawnRequest {
  readonly file: string;
  /** With the program's own name first. */
  readonly argv: readonly string[];
  /** NAME=value */
  readonly env: readonly string[];
  readonly cwd: string;
  /** File descriptor of standard output and error. */
  readonly output: number;
}

/** With what has to be known of the child's end. */
export interface PosixSpawner extends Pick<ChildWaits, 'nextEnded' | 'reap'> {
  /** Starts it as leader of a session of its own. @returns its pid, or the errno name */
  spawn(request: PosixSpawnRequest): number | string;
}

/** Source: <spawn.h> of glibc 2.26 and musl 1.1.24, which agree. */
const flags = { setSigDefault: 0x04, setSigMask: 0x08, setSid: 0x80 };
/** More than any C library's posix_spawnattr_t (336 bytes in glibc) and posix_spawn_file_actions_t (80). */
const structBytes = 1024;
const sigsetBytes = 128;

/** Undefined where it cannot be used. */
export const posixSpawner = lazily(load);

function load(): PosixSpawner | undefined {
  // Signals, and so the news of a child's end, reach the main thread alone.
  const library = isMainThread() ? libc() : undefined;
  try {
    const waits = library && childWaits();
    return waits && { ...waits, spawn: spawnBy(library) };
  } catch {
    return undefined; // A C library without one of the functions.
  }
}

function spawnBy({ func }: ForeignLibrary): PosixSpawner['spawn'] {
  const posixSpawn = func(
    'int posix_spawn(_Out_ int *pid, const char *path, void *actions, void *attributes, const char **argv, const char **env)',
  );
  const initActions = func('int posix_spawn_file_actions_init(void *actions)');
  const destroyActions = func('int posix_spawn_file_actions_destroy(void *actions)');
  const addOpen = func(
    'int posix_spawn_file_actions_addopen(void *actions, int fd, const char *path, int flags, int mode)',
  );
  const addDup2 = func('int posix_spawn_file_actions_adddup2(void *actions, int fd, int newFd)');
  const addChdir = func('int posix_spawn_file_actions_addchdir_np(void *actions, const char *path)');
  const initAttributes = func('int posix_spawnattr_init(void *attributes)');
  const setFlags = func('int posix_spawnattr_setflags(void *attributes, short flags)');
  const setDefault = func('int posix_spawnattr_setsigdefault(void *attributes, void *signals)');

  // Node.js ignores SIGPIPE and blocks some signals at times; a program begins with none of that.
  const attributes = Buffer.alloc(structBytes);
  must('posix_spawnattr_init', initAttributes(attributes));
  must('posix_spawnattr_setsigdefault', setDefault(attributes, Buffer.alloc(sigsetBytes, 0xff)));
  must('posix_spawnattr_setflags', setFlags(attributes, flags.setSid | flags.setSigDefault | flags.setSigMask));

  return ({ file, argv, env, cwd, output }) => {
    const actions = Buffer.alloc(structBytes);
    must('posix_spawn_file_actions_init', initActions(actions));
    try {
      must('addopen', addOpen(actions, 0, '/dev/null', 0, 0));
      for (const stream of [1, 2]) must('adddup2', addDup2(actions, output, stream));
      must('addchdir', addChdir(actions, cwd));
      const pid = [0];
      const errno = posixSpawn(pid, file, actions, attributes, [...argv, null], [...env, null]);
      return errno === 0 ? (pid[0] ?? 0) : errnoName(errno);
    } finally {
      destroyActions(actions);
    }
  };
}

/** Asked so because node:worker_threads, which would say it, takes longer to load than all of this. */
function isMainThread(): boolean {
  try {
    process.chdir('.');
    return true;
  } catch (error) {
    return errnoOf(error) !== 'ERR_WORKER_UNSUPPORTED_OPERATION';
  }
}

function must(what: string, errno: number): void {
  if (errno !== 0) throw new Error(`${what}: ${errnoName(errno)}`);
}
