/**
 * Below k3s-lite-init a code is an answer, and a signal is a crash after which k3s-lite is started
 * again, to take over what still runs. So a bug there ends this process by a signal.
 */
import { StartupError } from '../error/startup-error.ts';
import { endByCrash } from '../process/init-role.ts';
import { renderFailure, type FailureOutput } from './render-failure.ts';

export interface CrashOptions {
  readonly io: FailureOutput;
  /** Its reason, thrown, is no bug. */
  readonly signal: AbortSignal;
}

export async function crashingOnBugs<T>(work: () => Promise<T>, { io, signal }: CrashOptions): Promise<T> {
  const crash = (error: unknown) => {
    renderFailure(error, io);
    endByCrash();
  };
  // Unhandled rejections come here too.
  process.on('uncaughtException', crash);
  try {
    return await work();
  } catch (error) {
    const isExpected = error instanceof StartupError || (signal.aborted && error === signal.reason);
    if (!isExpected) crash(error);
    throw error;
  } finally {
    process.off('uncaughtException', crash);
  }
}
