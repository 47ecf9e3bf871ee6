/** Starts this program again as a session of its own, for `up --wait`: it goes on when we end. */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { Exit } from '../error/readiness-error.ts';
import { exitOf } from './exit-of.ts';

export interface Detached {
  /** Settles when it ends; never rejects. */
  readonly exited: Promise<Exit>;
  /** Settles with the first message that it sends over IPC; never if it sends none. */
  readonly message: Promise<unknown>;
  /** Asks it to end; nothing happens if it has. */
  end(): void;
  /** Lets it go: we may end, it goes on. */
  release(): void;
}

export interface DetachOptions {
  /** Words after the Node.js executable: the script and its arguments. */
  readonly argv: readonly string[];
  /** Standard output and error are appended here. */
  readonly logFile: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

// Not execa: a process that outlives us needs nothing of it, and its clean-up would end it with us.
export function startDetached({ argv, logFile, env }: DetachOptions): Detached {
  const log = openSync(logFile, 'a', 0o600);
  const child = spawn(process.execPath, argv, { detached: true, stdio: ['ignore', log, log, 'ipc'], env });
  closeSync(log);
  const exited = new Promise<Exit>((resolve) => {
    child.once('error', () => resolve({ kind: 'unknown' }));
    child.once('exit', (code, signal) => {
      resolve(exitOf({ exitCode: code ?? undefined, signal: signal ?? undefined }));
    });
  });
  const message = new Promise<unknown>((resolve) => {
    child.once('message', resolve);
  });
  return {
    exited,
    message,
    end: () => void child.kill('SIGTERM'),
    release() {
      if (child.connected) child.disconnect();
      child.unref();
    },
  };
}
