/** Starts this program again as a session of its own, for `up --wait` and `up --detach`: it goes on when we end. */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { Exit } from '../error/readiness-error.ts';
import { exitOf } from './exit-of.ts';

export interface Detached {
  /** Settles when it ends; never rejects. */
  readonly exited: Promise<Exit>;
  readonly pid: number;
  /** Settles when it sends that message over IPC; never if it does not. */
  message(wanted: string): Promise<void>;
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
  const said = new Set<unknown>();
  child.on('message', (message) => said.add(message));
  return {
    exited,
    // Not assigned only if the spawn failed, and then `exited` says so.
    pid: child.pid ?? 0,
    message: (wanted) =>
      new Promise((resolve) => {
        if (said.has(wanted)) resolve();
        child.on('message', (message) => {
          if (message === wanted) resolve();
        });
      }),
    end: () => void child.kill('SIGTERM'),
    release() {
      if (child.connected) child.disconnect();
      child.unref();
    },
  };
}
