/**
 * Saves everything that etcd holds as one file: beside its place first, checked against the hash that
 * etcd appends, and only then under its name. So what has a name there is whole.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { StartupError } from '../../error/startup-error.ts';
import { onAbort } from '../../kernel/abort.ts';
import type { Clock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/message-of.ts';
import type { EtcdClient } from './etcd-client.ts';
import { EtcdError } from './etcd-error.ts';
import { writeSnapshotRecord, type Snapshot } from './snapshot-folder.ts';
import { snapshotName, snapshotNamePattern } from './snapshot-name.ts';

export interface SaveOptions {
  readonly client: EtcdClient;
  /** Of the member that is asked. */
  readonly endpoint: string;
  readonly folder: string;
  /** Begins the file's name. */
  readonly name: string;
  readonly nodeName: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onProgress?: (savedBytes: number, remainingBytes: number) => void;
}

/** @throws StartupError ERR_SNAPSHOT or ERR_ETCD, after nothing of it is left; the reason of `signal` */
export async function saveSnapshot(options: SaveOptions): Promise<Snapshot> {
  const { client, endpoint, folder, name, nodeName, clock, signal } = options;
  const createdMs = clock.wallMs();
  const whole = snapshotName(name, nodeName, createdMs);
  if (!snapshotNamePattern.test(whole))
    throw snapshotError(`"${name}" is no name for a file of letters, digits, dots and dashes`);
  const file = path.join(folder, whole);
  const fresh = path.join(folder, `.${whole}.new`);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    if ((await stat(file).catch(() => undefined)) !== undefined) throw snapshotError(`${file} is there already`);
    const status = await client.status(endpoint, signal);
    const { sizeBytes, sha256 } = await write(fresh, options);
    await rename(fresh, file);
    await syncFolder(folder);
    const { clusterId, version: etcdVersion, revision } = status;
    const record = { version: 1 as const, nodeName, createdMs, sizeBytes, sha256, clusterId, etcdVersion, revision };
    await writeSnapshotRecord(file, record);
    return { name: whole, file, sizeBytes, createdMs, record };
  } catch (error) {
    await rm(fresh, { force: true }).catch(() => undefined); // the first error is the one to tell
    signal.throwIfAborted();
    if (error instanceof StartupError) throw error;
    throw snapshotError(messageOf(error), error);
  }
}

async function write(fresh: string, options: SaveOptions): Promise<{ sizeBytes: number; sha256: string }> {
  const { client, signal, onProgress } = options;
  // One that a killed k3s-lite left is worth nothing.
  await rm(fresh, { force: true });
  const file = await open(fresh, 'wx', 0o600);
  try {
    const check = trailingHash();
    let sizeBytes = 0;
    await client.snapshot(async ({ blob, remainingBytes }) => {
      check.add(blob);
      sizeBytes += blob.length;
      await file.writeFile(blob);
      onProgress?.(sizeBytes, remainingBytes);
    }, signal);
    const sha256 = check.end(sizeBytes);
    if (sha256 === undefined)
      throw new Error('what etcd sent does not end in the hash of itself: it is cut short or damaged');
    await file.sync();
    return { sizeBytes, sha256 };
  } finally {
    await file.close();
  }
}

/** etcd's pages are whole multiples of it, and the hash comes behind them. Source: etcd `snapshot/v3_snapshot.go`. */
const sectorBytes = 512;
const hashBytes = 32;

interface TrailingHash {
  add(part: Uint8Array): void;
  /** The hash in hexadecimal, or undefined when the last 32 bytes are not that of all before them. */
  end(sizeBytes: number): string | undefined;
}

function trailingHash(): TrailingHash {
  const hash = createHash('sha256');
  let heldBack = Buffer.alloc(0);
  return {
    add(part) {
      const all = Buffer.concat([heldBack, part]);
      const end = Math.max(0, all.length - hashBytes);
      hash.update(all.subarray(0, end));
      heldBack = Buffer.from(all.subarray(end));
    },
    end(sizeBytes) {
      const digest = hash.digest();
      return sizeBytes % sectorBytes === hashBytes && digest.equals(heldBack) ? digest.toString('hex') : undefined;
    },
  };
}

/** @returns the hash, or undefined when the file is not a whole snapshot */
export async function verifySnapshot(file: string, signal: AbortSignal): Promise<string | undefined> {
  const check = trailingHash();
  let sizeBytes = 0;
  const handle: FileHandle = await open(file, 'r');
  const stream = handle.createReadStream();
  using _abort = onAbort(signal, () => void stream.destroy(new Error('stopped')));
  for await (const part of stream) {
    check.add(part as Buffer);
    sizeBytes += (part as Buffer).length;
  }
  return check.end(sizeBytes);
}

/** So that a power-off leaves either nothing or the whole file. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export function snapshotError(reason: string, cause?: unknown): StartupError {
  const options = cause === undefined || cause instanceof EtcdError ? undefined : { cause };
  return new StartupError('ERR_SNAPSHOT', `cannot save a snapshot of etcd: ${reason}`, { reason }, options);
}
