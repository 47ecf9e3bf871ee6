/**
 * Makes the data of a new etcd out of a snapshot: a cluster of one member, this one, with everything
 * that was in it. The present data are kept beside it. etcd itself must not run.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { describeExit } from '../../error/readiness-error.ts';
import { StartupError } from '../../error/startup-error.ts';
import type { Clock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/message-of.ts';
import { runProgram } from '../../process/run-program.ts';
import { verifySnapshot } from './save-snapshot.ts';

export interface RestoreOptions {
  readonly file: string;
  /** The data directory of etcd. */
  readonly etcdData: string;
  readonly memberName: string;
  /** As the member will be told to advertise. */
  readonly peerUrl: string;
  /** Path of etcdutl. */
  readonly etcdutl: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export interface Restored {
  /** Where the data are that were there before; undefined when there were none. */
  readonly kept: string | undefined;
}

/**
 * Revisions go on far beyond those that clients have seen: a controller that remembers a later one would
 * otherwise take old objects for new. Source: etcd "Disaster recovery", the amount that it recommends.
 */
const bumpRevision = 1_000_000_000;

/** @throws StartupError ERR_SNAPSHOT, after which the present data are where they were; the reason of `signal` */
export async function restoreSnapshot(options: RestoreOptions): Promise<Restored> {
  const { file, etcdData, memberName, peerUrl, etcdutl, clock, signal } = options;
  const hash = await verifySnapshot(file, signal).catch((error: unknown) => {
    signal.throwIfAborted();
    throw failed(file, messageOf(error), error);
  });
  if (hash === undefined) {
    throw failed(file, 'it does not end in the hash of itself: it is no snapshot, or cut short or damaged');
  }
  await mkdir(path.dirname(etcdData), { recursive: true, mode: 0o700 });
  const fresh = `${etcdData}-restored-${randomBytes(4).toString('hex')}`;
  try {
    const { exit, stderr } = await runProgram({
      argv: [
        ...([etcdutl, 'snapshot', 'restore', file] as const),
        ...[`--data-dir=${fresh}`, `--name=${memberName}`, `--initial-cluster=${memberName}=${peerUrl}`],
        // Members of the former cluster must not be able to speak to this one.
        ...[`--initial-advertise-peer-urls=${peerUrl}`, `--initial-cluster-token=${randomBytes(8).toString('hex')}`],
        ...[`--bump-revision=${String(bumpRevision)}`, '--mark-compacted'],
      ],
      signal,
    });
    if (exit.kind !== 'code' || exit.code !== 0) throw failed(file, lastLine(stderr) ?? describeExit(exit));
    const kept = await moveAside(etcdData, clock);
    try {
      await rename(fresh, etcdData);
    } catch (error) {
      if (kept !== undefined) await rename(kept, etcdData);
      throw error;
    }
    return { kept };
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

const lastLine = (text: string): string | undefined => text.trim().split('\n').at(-1) || undefined;

/** @returns where it is now; undefined when there is nothing */
async function moveAside(etcdData: string, clock: Clock): Promise<string | undefined> {
  const aside = `${etcdData}-old-${String(Math.floor(clock.wallMs() / 1000))}`;
  try {
    await rename(etcdData, aside);
    return aside;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function failed(file: string, reason: string, cause?: unknown): StartupError {
  const options = cause === undefined ? undefined : { cause };
  return new StartupError('ERR_SNAPSHOT', `cannot restore ${file}: ${reason}`, { file, reason }, options);
}
