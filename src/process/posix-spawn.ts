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
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { isMainThread } from 'node:worker_threads';
import type koffi from 'koffi';

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

export interface PosixSpawner {
  /** Starts it as leader of a session of its own. @returns its pid, or the errno name */
  spawn(request: PosixSpawnRequest): number | string;
  /** Wait status of a child of ours that has ended, which is then forgotten by the kernel; undefined while it lives. */
  reap(pid: number): number | undefined;
}

/** Sources: <spawn.h> of glibc 2.26 and musl 1.1.24, which agree; <sys/wait.h>. */
const flags = { setSigDefault: 0x04, setSigMask: 0x08, setSid: 0x80 };
const noHang = 1;
/** More than any C library's posix_spawnattr_t (336 bytes in glibc) and posix_spawn_file_actions_t (80). */
const structBytes = 1024;
const sigsetBytes = 128;

/** Undefined where it cannot be used. Loaded at the first call only. */
export function posixSpawner(): PosixSpawner | undefined {
  if (loaded === undefined) {
    try {
      // Signals, and so the news of a child's end, reach the main thread alone.
      loaded = isMainThread && process.platform === 'linux' ? load() : null;
    } catch {
      // An optional dependency: there is none for this platform.
      loaded = null;
    }
  }
  return loaded ?? undefined;
}

let loaded: PosixSpawner | null | undefined;

function load(): PosixSpawner {
  const ffi = createRequire(import.meta.url)('koffi') as typeof koffi;
  const libc = ffi.load(null);
  const posixSpawn = libc.func(
    'int posix_spawn(_Out_ int *pid, const char *path, void *actions, void *attributes, const char **argv, const char **env)',
  );
  const initActions = libc.func('int posix_spawn_file_actions_init(void *actions)');
  const destroyActions = libc.func('int posix_spawn_file_actions_destroy(void *actions)');
  const addOpen = libc.func(
    'int posix_spawn_file_actions_addopen(void *actions, int fd, const char *path, int flags, int mode)',
  );
  const addDup2 = libc.func('int posix_spawn_file_actions_adddup2(void *actions, int fd, int newFd)');
  const addChdir = libc.func('int posix_spawn_file_actions_addchdir_np(void *actions, const char *path)');
  const initAttributes = libc.func('int posix_spawnattr_init(void *attributes)');
  const setFlags = libc.func('int posix_spawnattr_setflags(void *attributes, short flags)');
  const setDefault = libc.func('int posix_spawnattr_setsigdefault(void *attributes, void *signals)');
  const waitpid = libc.func('int waitpid(int pid, _Out_ int *status, int options)');

  // Node.js ignores SIGPIPE and blocks some signals at times; a program begins with none of that.
  const attributes = Buffer.alloc(structBytes);
  must('posix_spawnattr_init', initAttributes(attributes) as number);
  must('posix_spawnattr_setsigdefault', setDefault(attributes, Buffer.alloc(sigsetBytes, 0xff)) as number);
  must(
    'posix_spawnattr_setflags',
    setFlags(attributes, flags.setSid | flags.setSigDefault | flags.setSigMask) as number,
  );

  return {
    spawn({ file, argv, env, cwd, output }) {
      const actions = Buffer.alloc(structBytes);
      must('posix_spawn_file_actions_init', initActions(actions) as number);
      try {
        must('addopen', addOpen(actions, 0, '/dev/null', 0, 0) as number);
        for (const stream of [1, 2]) must('adddup2', addDup2(actions, output, stream) as number);
        must('addchdir', addChdir(actions, cwd) as number);
        const pid = [0];
        const errno = posixSpawn(pid, file, actions, attributes, [...argv, null], [...env, null]) as number;
        return errno === 0 ? (pid[0] ?? 0) : errnoName(errno);
      } finally {
        destroyActions(actions);
      }
    },
    reap(pid) {
      const status = [0];
      return (waitpid(pid, status, noHang) as number) === pid ? status[0] : undefined;
    },
  };
}

/** libuv's own table lacks some (ENOEXEC). */
function errnoName(errno: number): string {
  return Object.entries(constants.errno).find(([, number]) => number === errno)?.[0] ?? `errno ${String(errno)}`;
}

function must(what: string, errno: number): void {
  if (errno !== 0) throw new Error(`${what}: ${errnoName(errno)}`);
}
