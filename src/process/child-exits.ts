/**
 * Tells how processes ended that were started by posix_spawn: Node.js knows nothing of them.
 *
 * The kernel's SIGCHLD makes us look who has ended; each of ours is waited for by its own pid, as Node.js
 * waits for its own, so neither takes an exit from the other. A child that has ended stays a zombie, and its pid
 * is nobody else's, until its exit is taken here.
 */
import { constants } from 'node:os';
import type { Exit } from '../error/readiness-error.ts';
import type { PosixSpawner, PosixSpawnRequest } from './posix-spawn.ts';

export interface StartedChild {
  readonly pid: number;
  /** Settles once, never rejects. */
  readonly exited: Promise<Exit>;
}

export interface ChildExits {
  /** Starts a process with somebody listening for its end. @returns the errno name if it cannot be started */
  start(request: PosixSpawnRequest): StartedChild | string;
}

/** The longest delay of a Node.js timer: it is there to keep the event loop, not to fire. */
const longTimeMs = 2 ** 31 - 1;

export function childExits({ spawn, reap, nextEnded }: PosixSpawner): ChildExits {
  const waiting = new Map<number, (exit: Exit) => void>();
  let keepAlive: NodeJS.Timeout | undefined;

  /** @returns whether it was ours, and has ended */
  const take = (pid: number): boolean => {
    const tell = waiting.get(pid);
    const status = tell === undefined ? undefined : reap(pid);
    if (tell === undefined || status === undefined) return false;
    waiting.delete(pid);
    tell(exitOfStatus(status));
    return true;
  };
  const look = () => {
    for (let pid = nextEnded(); pid !== undefined; pid = nextEnded()) {
      if (take(pid)) continue;
      // Somebody else's, behind whom the kernel shows nobody until it is taken: each of ours is asked for.
      for (const each of [...waiting.keys()]) take(each);
      break;
    }
    if (waiting.size === 0) stop();
  };
  /** Before a process is started: the news of its end must find somebody. */
  const listen = () => {
    if (keepAlive !== undefined) return;
    process.on('SIGCHLD', look);
    // A signal's handler does not keep the event loop, as a child of Node.js's own does.
    keepAlive = setInterval(() => undefined, longTimeMs);
  };
  const stop = () => {
    process.off('SIGCHLD', look);
    clearInterval(keepAlive);
    keepAlive = undefined;
  };

  return {
    start(request) {
      listen();
      const pid = spawn(request);
      if (typeof pid === 'number') {
        return {
          pid,
          exited: new Promise((resolve) => {
            waiting.set(pid, resolve);
          }),
        };
      }
      if (waiting.size === 0) stop();
      return pid;
    },
  };
}

const signalNames = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]));
/** Aliases that Node.js lists after the usual name. */
for (const name of ['SIGABRT', 'SIGIO', 'SIGCHLD'] as const) signalNames.set(constants.signals[name], name);
/** Source: signal(7), with the two real-time signals that glibc keeps for itself left out. */
const firstRealTime = 34;

/** Source: the wait status of Linux, as WIFEXITED and its kin of <sys/wait.h> read it. */
export function exitOfStatus(status: number): Exit {
  const signal = status & 0x7f;
  if (signal === 0) return { kind: 'code', code: (status >> 8) & 0xff };
  return { kind: 'signal', signal: signalNames.get(signal) ?? `SIGRTMIN+${String(signal - firstRealTime)}` };
}
