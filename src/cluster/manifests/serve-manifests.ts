/**
 * The service behind units/manifests.yaml: looks at the folder when it changes, when a failed file
 * is due again, and every now and then; tells its supervisor what stands.
 */
import { watch } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { backoffDelayMs } from '../../kernel/backoff.ts';
import { sleep, type Clock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/message-of.ts';
import { wakeablePause } from '../../kernel/wakeable-pause.ts';
import type { KubeClient } from '../kube-client.ts';
import { readManifestFolder } from './manifest-folder.ts';
import { manifestObjects } from './manifest-objects.ts';
import { readManifestRecord, writeManifestRecord } from './manifest-record.ts';
import { manifestSync, type SyncReport } from './sync-manifests.ts';

export interface ServeManifestsOptions {
  readonly folder: string;
  /** Where is kept what each file has made. */
  readonly recordFile: string;
  /** Names given by --disable. */
  readonly disabled: readonly string[];
  readonly connect: () => Promise<KubeClient>;
  readonly clock: Clock;
  readonly log: (line: string) => void;
  /** To whoever supervises: "READY=1", "STATUS=…". */
  readonly notify: (...lines: readonly string[]) => void;
  readonly signal: AbortSignal;
}

/** An editor writes a file in several steps. */
const settleMs = 100;
/** For folders below, which are not watched. Source: K3s looks this often. */
const rescanMs = 15_000;
const awayPace = { firstMs: 250, factor: 2, maxMs: 15_000, jitter: 0.2 };

/** Runs until `signal` aborts, and then rejects with its reason. */
export async function serveManifests(options: ServeManifestsOptions): Promise<never> {
  const { folder, recordFile, disabled, connect, clock, log, notify, signal } = options;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const record = await readManifestRecord(recordFile, log);
  let saved = JSON.stringify([...record]);
  const sync = manifestSync({
    clock,
    record,
    async save() {
      const text = JSON.stringify([...record]);
      if (text === saved) return;
      await writeManifestRecord(recordFile, record);
      saved = text;
    },
    async connect() {
      const client = await connect();
      const objects = manifestObjects(client, clock);
      return { ...objects, [Symbol.dispose]: () => client[Symbol.dispose]() };
    },
    log,
  });
  const pause = wakeablePause(clock, signal);
  using _changes = onChange(folder, pause.wake, log);
  let isReady = false;
  let away = 0;
  for (;;) {
    pause.forgetHints();
    let waitMs = rescanMs;
    try {
      const report = await sync(await readManifestFolder(folder, disabled), signal);
      away = 0;
      notify(...(isReady ? [] : ['READY=1']), `STATUS=${statusOf(report)}`);
      isReady = true;
      if (report.retryAtMs !== undefined) waitMs = Math.min(waitMs, report.retryAtMs - clock.monotonicMs());
    } catch (error) {
      signal.throwIfAborted();
      away += 1;
      const reason = messageOf(error);
      if (away === 1) log(`cannot apply manifests: ${reason}; tried again until it can`);
      notify(`STATUS=cannot apply manifests: ${reason}`);
      waitMs = backoffDelayMs(awayPace, away, Math.random);
    }
    if (await pause.wait(waitMs)) await sleep(clock, settleMs, signal);
  }
}

export function statusOf({ files, objects, failures }: SyncReport): string {
  const [first] = failures.values();
  if (first !== undefined) return `${String(failures.size)} of ${String(files)} files failed: ${first}`;
  return files === 0 ? 'no manifests' : `${String(objects)} objects of ${String(files)} files applied`;
}

/** Calls `changed` whenever something changes in the folder itself. */
function onChange(folder: string, changed: () => void, log: (line: string) => void): Disposable {
  const watcher = watch(folder, changed);
  watcher.on('error', (error) => {
    log(`${folder} cannot be watched (${error.message}): changes are found within ${String(rescanMs / 1000)} s`);
  });
  return { [Symbol.dispose]: () => watcher.close() };
}
